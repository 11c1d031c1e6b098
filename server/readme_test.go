package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/world"
)

// Every fixture in the README can be loaded beside the files that it names.
func TestFixturesOfTheReadme(t *testing.T) {
	t.Parallel()
	readme := string(emulatortest.Must[[]byte](t)(os.ReadFile("../README.md")))
	key := emulatortest.Must[*keys.Key](t)(keys.NewRing("", time.Now).Google().Active(t.Context()))
	jwks, err := json.Marshal(struct {
		Keys []keys.JWK `json:"keys"`
	}{[]keys.JWK{key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"app.pem":     key.PublicKey(),
		"github.json": string(jwks),
		"vm.json":     string(emulatortest.Must[[]byte](t)(os.ReadFile("testdata/recordings/vm.json"))),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, rest, found := strings.Cut(readme, "```yaml\n")
	for found {
		var block string
		block, rest, _ = strings.Cut(rest, "```\n")
		if fixture, err := fixtures.Parse("README.md", []byte(block), dir); err != nil {
			t.Errorf("%v\n%s", err, block)
		} else if w := world.New(fixture); len(w.Instances) == 0 {
			t.Errorf("the fixture describes no instance:\n%s", block)
		}
		_, rest, found = strings.Cut(rest, "```yaml\n")
	}
}

// The README's table of surfaces names every route of Google's, and every gRPC service. It describes
// the IAM API as a whole.
func TestReadmeNamesEveryRoute(t *testing.T) {
	t.Parallel()
	readme := string(emulatortest.Must[[]byte](t)(os.ReadFile("../README.md")))
	_, section, _ := strings.Cut(readme, "\n## What it answers\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for route, words := range server.WordsOfRoutes() {
		for _, word := range words {
			if !strings.Contains(section, word) {
				t.Errorf("README.md, section \"What it answers\", does not name %q of route %s", word, route)
			}
		}
	}
}
