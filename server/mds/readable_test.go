package mds_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/emulatortest"
)

// Every valid name in a recording can be read at the path in its listing, by an ordinary
// client. Other names are refused.
func TestListedIsReadableByClients(t *testing.T) {
	t.Parallel()
	attributes, accepted := map[string]string{}, 0
	for c := range rune(0x100) {
		name := "a" + string(c) + "b"
		recording := filepath.Join(t.TempDir(), "vm.json")
		content, err := json.Marshal(map[string]any{"instance": map[string]any{"attributes": map[string]any{name: "v"}}, "project": map[string]any{}})
		if err != nil {
			t.Fatal(err)
		}
		const owner = 0o600
		if err := os.WriteFile(recording, content, owner); err != nil {
			t.Fatal(err)
		}
		if _, _, err := (fixtures.Files{Recording: recording}).Load(t.Context()); err == nil {
			attributes[name] = "v"
			accepted++
		}
	}
	const pathCharacters = 26 + 26 + 10 + len("-._~!$&'()*+,;=:@")
	if accepted != pathCharacters {
		t.Errorf("names of %d characters are accepted, want %d", accepted, pathCharacters)
	}
	recording := filepath.Join(t.TempDir(), "vm.json")
	content, err := json.Marshal(map[string]any{"instance": map[string]any{"attributes": attributes}, "project": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	const owner = 0o600
	if err := os.WriteFile(recording, content, owner); err != nil {
		t.Fatal(err)
	}
	e := replay(t, fixtures.Files{Recording: recording})
	_, listing := e.Metadata(t, "instance/attributes/")
	for line := range strings.Lines(listing) {
		name := strings.TrimSuffix(line, "\n")
		if status, body := e.Metadata(t, "instance/attributes/"+name); status != http.StatusOK || body != "v" {
			t.Errorf("%q is listed, but reading it returns %d %q", name, status, body)
		}
	}
	if got := strings.Count(listing, "\n"); got != accepted {
		t.Errorf("%d are listed, want %d", got, accepted)
	}
}

// Every listed entry of every kind of workload can be read, starting at the root.
func TestEveryListingIsReadableByClients(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	for _, instance := range e.World().State.Instances {
		follow(t, e, instance.Name, "/")
	}
}

func follow(t *testing.T, e *emulatortest.Emulator, instance, directory string) {
	t.Helper()
	status, listing := e.Read(t, instance, directory)
	if status != http.StatusOK {
		if !strings.HasSuffix(directory, "/guest-attributes/") { // they may not be enabled
			t.Errorf("%s: %s is listed, and its listing is %d", instance, directory, status)
		}
		return
	}
	for line := range strings.Lines(listing) {
		path := directory + strings.TrimSuffix(line, "\n")
		if strings.HasSuffix(path, "/") {
			follow(t, e, instance, path)
			continue
		}
		if strings.HasSuffix(path, "/token") || strings.HasSuffix(path, "/identity") {
			continue // made for each request
		}
		if status, _ := e.Read(t, instance, path); status != http.StatusOK {
			t.Errorf("%s: %s is listed, but reading it returns %d", instance, path, status)
		}
	}
}
