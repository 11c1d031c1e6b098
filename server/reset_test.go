package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"gcp-metadata-emulator/server/emulatortest"
)

// A code that was exchanged is good again after a reset, which also gives instances their
// queries of guest attributes back.
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
		t.Fatalf("a code is exchanged with %d and then %d", first, second)
	}
	for range 3 { // at once, and no more
		guest()
	}
	if got := guest(); got != http.StatusTooManyRequests {
		t.Fatalf("guest attributes are read with %d for the fourth time", got)
	}
	now := e.Clock.Now()
	e.Reset()
	e.Clock.Freeze()
	if err := e.Clock.Set(now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := exchange(); got != http.StatusOK {
		t.Errorf("a code is exchanged with %d after a reset", got)
	}
	if got := guest(); got != http.StatusOK {
		t.Errorf("guest attributes are read with %d after a reset", got)
	}
}
