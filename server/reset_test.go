package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"gcp-metadata-emulator/server/emulatortest"
)

// After a reset, a spent code can be exchanged again, and instances can query guest attributes again.
func TestResetForgetsWhatWasUsedUp(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	guest := func() int {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://full-vm/computeMetadata/v1/instance/guest-attributes/ns/k", http.NoBody)
		request.Header.Set("Metadata-Flavor", "Google")
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, request)
		return recorder.Code
	}
	redirect := emulatortest.Ask(t.Context(), e.Server, "/o/oauth2/auth?client_id=x&response_type=code&redirect_uri=http://localhost/&scope=email")
	location, err := url.Parse(redirect.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	exchange := func() int {
		return emulatortest.Post(t.Context(), e.Server, "/token", url.Values{
			"grant_type": {"authorization_code"}, "client_id": {"x"}, "redirect_uri": {"http://localhost/"}, "code": {location.Query().Get("code")},
		}).Code
	}
	if first, second := exchange(), exchange(); first != http.StatusOK || second != http.StatusBadRequest {
		t.Fatalf("exchanges of a code: status %d and then %d", first, second)
	}
	for range 3 { // the limit of simultaneous queries
		guest()
	}
	if got := guest(); got != http.StatusTooManyRequests {
		t.Fatalf("fourth query of guest attributes: status %d", got)
	}
	now := e.Clock.Now()
	e.Reset()
	e.Clock.Freeze()
	if err := e.Clock.Set(now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := exchange(); got != http.StatusOK {
		t.Errorf("exchange of the code after a reset: status %d", got)
	}
	if got := guest(); got != http.StatusOK {
		t.Errorf("query of guest attributes after a reset: status %d", got)
	}
}
