package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

// gcloudConfig only accepts a run ID from the server as part of a directory's name.
func TestGcloudConfig(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	const run = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
	for answer, want := range map[string]string{
		`{"run": "` + run + `"}`:   run,
		`{"run": "../../../etc"}`:  "",
		`{"run": 1, "other": "1"}`: "",
		`{"status": "ok"}`:         "",
		`this is no JSON object`:   "",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, answer)
		}))
		t.Cleanup(server.Close)
		command := envCommand{clientFlags: clientFlags{URL: server.URL}}
		got, err := command.gcloudConfig(t.Context())
		if want == "" && err == nil || want != "" && (err != nil || filepath.Base(got) != want) {
			t.Errorf("%s: %q, %v", answer, got, err)
		}
	}
}
