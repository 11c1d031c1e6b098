package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// post sends a form.
func post(t *testing.T, s http.Handler, path string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost"+path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	return recorder
}

// A code that was exchanged is good again after a reset, which also gives instances their
// queries of guest attributes back.
func TestResetForgetsWhatWasUsedUp(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	guest := func() int {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://full-vm/computeMetadata/v1/instance/guest-attributes/ns/k", http.NoBody)
		request.Header.Set("Metadata-Flavor", "Google")
		recorder := httptest.NewRecorder()
		e.server.ServeHTTP(recorder, request)
		return recorder.Code
	}
	redirect := ask(t.Context(), e.server, "/o/oauth2/auth?client_id=x&response_type=code&redirect_uri=http://localhost/&scope=email")
	location, err := url.Parse(redirect.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	exchange := func() int {
		return post(t, e.server, "/token", url.Values{
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
	now := e.server.Clock.Now()
	e.server.Reset()
	e.server.Clock.Freeze()
	if err := e.server.Clock.Set(now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := exchange(); got != http.StatusOK {
		t.Errorf("a code is exchanged with %d after a reset", got)
	}
	if got := guest(); got != http.StatusOK {
		t.Errorf("guest attributes are read with %d after a reset", got)
	}
}
