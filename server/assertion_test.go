package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
)

// The query of a request decides which assertion of Identity-Aware Proxy the service gets, and reaches
// the service unchanged.
func TestSecureTokenTest(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.RequestURI, r.Header.Get("X-Goog-Iap-Jwt-Assertion"))
	}))
	t.Cleanup(service.Close)
	e := newDoors(t, func(config *server.Config) {
		for _, known := range config.World.Services() {
			known.Upstream = emulatortest.Must[*url.URL](t)(url.Parse(service.URL))
		}
	})
	caller := doorToken(t, e, loginAccount, token.Order{Kind: token.KindID, Audience: ownClient})
	const test = "?gcp-iap-mode=SECURE_TOKEN_TEST&iap-secure-token-test-type="
	for query, want := range map[string]string{ // what is wrong with the assertion; empty: nothing
		"?a=b":                               "",
		test + "NOT_SET":                     "",
		test + "FUTURE_ISSUE":                "the token is not valid before",
		test + "PAST_EXPIRATION":             "the token expired at",
		test + "ISSUER":                      "the issuer is",
		test + "AUDIENCE":                    "the token is for",
		test + "SIGNATURE&a=b":               "signature",
		test + "UNKNOWN":                     "",
		"?gcp-iap-mode=SECURE_TOKEN_TEST":    "",
		"?iap-secure-token-test-type=ISSUER": "",
		"?gcp-iap-mode=OTHER&iap-secure-token-test-type=ISSUER":             "",
		"?iap-secure-token-test-type=ISSUER&gcp-iap-mode=SECURE_TOKEN_TEST": "the issuer is",
	} {
		answer := e.Exchange(t, "GET /a"+query+"\nHost: console-123456789012.us-central1.run.app\nAuthorization: Bearer "+caller+"\n\n")
		target, assertion, _ := strings.Cut(answer.Body, " ")
		if answer.Status != http.StatusOK || target != "/a"+query {
			t.Errorf("%s: the service gets %q: %d", query, target, answer.Status)
		}
		_, err := e.Verify(t.Context(), assertion, token.Demand{Audience: "/projects/123456789012/global/backendServices/8886178065039511317"})
		if got := fmt.Sprint(err); (err == nil) != (want == "") || err != nil && !strings.Contains(got, want) {
			t.Errorf("%s: the service's check says %q, want %q", query, got, want)
		}
	}
}
