package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// A path that names a host of Google leads to that host.
func TestHostsInPaths(t *testing.T) {
	t.Parallel()
	emulator := emulatortest.New(t)
	ask := func(host, target string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodGet, target, http.NoBody)
		request.Host = host
		answer := httptest.NewRecorder()
		emulator.ServeHTTP(answer, request)
		return answer
	}
	for _, test := range []struct{ path, host, target string }{
		{"/hosts/www.googleapis.com/oauth2/v3/certs", "www.googleapis.com", "/oauth2/v3/certs"},
		{"/hosts/WWW.GoogleAPIs.com./oauth2/v3/certs", "www.googleapis.com", "/oauth2/v3/certs"},
		{"/hosts/iam.googleapis.com/v1/roles?filter=%2F&x", "iam.googleapis.com", "/v1/roles?filter=%2F&x"},
		{"/hosts/iam.mtls.googleapis.com/v1/projects/p%2Fq/roles", "iam.googleapis.com", "/v1/projects/p%2Fq/roles"},
		{"/hosts/pubsub.googleapis.com/v1/projects/p/topics", "pubsub.googleapis.com", "/v1/projects/p/topics"},
		{"/hosts/pubsub.googleapis.com", "pubsub.googleapis.com", "/"},
		{"/hosts/iam.googleapis.com/hosts/www.googleapis.com/oauth2/v3/certs", "iam.googleapis.com", "/hosts/www.googleapis.com/oauth2/v3/certs"},

		{"/hosts/www.googleapis.com//oauth2.googleapis.com/certs", "127.0.0.1", "/nothing"},
		{"/hosts/metadata.google.internal/computeMetadata/v1/", "127.0.0.1", "/nothing"},
		{"/hosts/orders-abc-uc.a.run.app/", "127.0.0.1", "/nothing"},
		{"/hosts/example.com/", "127.0.0.1", "/nothing"},
		{"/hosts/", "127.0.0.1", "/nothing"},
	} {
		got, want := ask("127.0.0.1", test.path), ask(test.host, test.target)
		if got.Code != want.Code || got.Header().Get("Content-Type") != want.Header().Get("Content-Type") {
			t.Errorf("%s: %d %s, want %d %s", test.path, got.Code, got.Body, want.Code, want.Body)
		}
		if test.target != "/nothing" && got.Body.String() != want.Body.String() {
			t.Errorf("%s: %s, want %s", test.path, got.Body, want.Body)
		}
	}
	if got := ask("evil.example.com", "/hosts/www.googleapis.com/oauth2/v3/certs"); got.Code != http.StatusForbidden {
		t.Errorf("under another name: %d", got.Code)
	}
}
