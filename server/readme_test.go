package server_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/world"
)

// readmes returns the text of each README of the repository, by its path from the repository's root.
func readmes(t *testing.T) map[string]string {
	t.Helper()
	root := emulatortest.Must[*os.Root](t)(os.OpenRoot(".."))
	t.Cleanup(func() { _ = root.Close() })
	texts := map[string]string{}
	err := fs.WalkDir(root.FS(), ".", func(file string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return fs.SkipDir
		}
		if err != nil || entry.Name() != "README.md" {
			return err
		}
		text, err := root.ReadFile(file)
		texts[file] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// README.md is short enough to be read. Everything else stands beside its code.
func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	const limit = 16 << 10
	if size := len(readmes(t)["README.md"]); size > limit {
		t.Errorf("README.md has %d bytes, want at most %d: move details beside their code", size, limit)
	}
}

// Every fixture in a README can be loaded beside the files that it names.
func TestReadmesHaveGoodFixtures(t *testing.T) {
	t.Parallel()
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
	for file, text := range readmes(t) {
		for _, block := range regexp.MustCompile("(?s)```yaml(?: [^\n]*)?\n(.*?)```\n").FindAllStringSubmatch(text, -1) {
			if fixture, err := fixtures.Parse(file, []byte(block[1]), dir); err != nil {
				t.Errorf("%s: %v\n%s", file, err, block[1])
			} else if w := world.New(fixture); len(w.Instances) == 0 {
				t.Errorf("%s: the fixture describes no instance:\n%s", file, block[1])
			}
		}
	}
}

// Every link of a README leads to a file or folder of the repository, or to a heading.
func TestReadmesHaveGoodLinks(t *testing.T) {
	t.Parallel()
	texts := readmes(t)
	for file, text := range texts {
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			target, anchor, hasAnchor := strings.Cut(link[1], "#")
			if strings.HasPrefix(target, "https://") {
				continue
			}
			path := file
			if target != "" {
				path = filepath.Join(filepath.Dir(file), target)
			}
			if _, err := os.Stat(filepath.Join("..", path)); err != nil {
				t.Errorf("%s links to %q: %v", file, link[1], err)
			}
			if hasAnchor && !slices.Contains(anchors(texts[path]), anchor) {
				t.Errorf("%s links to %q, but %s has no such heading", file, link[1], path)
			}
		}
	}
}

// anchors returns the anchors that a forge gives to the headings of a text.
func anchors(text string) []string {
	var found []string
	text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		word := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		found = append(found, strings.ReplaceAll(word, " ", "-"))
	}
	return found
}

// The table of surfaces names every route of Google's, and every gRPC service. It describes the IAM
// API as a whole.
func TestReadmeNamesEveryRoute(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(readmes(t)["server/README.md"], "\n## Surfaces\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for route, words := range server.WordsOfRoutes() {
		for _, word := range words {
			if !strings.Contains(section, word) {
				t.Errorf("the table of server/README.md does not name %q of route %s", word, route)
			}
		}
	}
}
