package attack_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"gcp-metadata-emulator/server/attack"
)

// A service of Cloud Run accepts its own URL with every path, so a longer audience has another host.
func TestLongerAudienceIsForAnotherHost(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer service.Close()
	var asked []string
	_, err := attack.Run(t.Context(), attack.Target{
		URL: service.URL, Method: http.MethodGet, Header: "Authorization", Audience: service.URL + "/path",
		Mint: func(_ context.Context, order attack.Order) (string, error) {
			asked = append(asked, order.Audience)
			return "x", nil
		},
	})
	if want := service.URL + ".attacker.example/path"; err != nil || !slices.Contains(asked, want) {
		t.Errorf("%v: audiences %q, want %q among them", err, asked, want)
	}
}
