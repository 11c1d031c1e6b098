package mds_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/world/worldtest"
)

// recording returns the path of a recording. vm.json has a VM's answers, with addresses changed by
// its owner. emulator.json has the answers of another emulator.
func recording(t *testing.T, name string) string {
	t.Helper()
	return worldtest.Testdata(t, filepath.Join("recordings", name))
}

// replay starts an emulator with the given files.
func replay(t *testing.T, files fixtures.Files) *emulatortest.Emulator {
	t.Helper()
	return emulatortest.NewOf(t, files, func(*server.Config) {})
}

func TestRecordingIsServedAsRecorded(t *testing.T) {
	t.Parallel()
	e := replay(t, fixtures.Files{Recording: recording(t, "vm.json")})
	want, err := os.ReadFile(recording(t, "vm.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, got := e.Metadata(t, "?recursive=true")
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("recursive answer (-recorded +served):\n%s", diff)
	}
	for path, want := range map[string]string{
		"instance/id":                               "5737554347302044216",
		"instance/name":                             "trentm-play-vm0",
		"instance/zone":                             "projects/523926462582/zones/us-west1-b",
		"project/project-id":                        "acme-eng",
		"project/numeric-project-id":                "523926462582",
		"instance/service-accounts/default/email":   "523926462582-compute@developer.gserviceaccount.com",
		"instance/network-interfaces/0/dns-servers": "169.254.169.254\n",
	} {
		if status, body := e.Metadata(t, path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	for _, path := range []string{"universe/universe-domain", "instance/partner-attributes/", "instance/attributes/x"} {
		if status, _ := e.Metadata(t, path); status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404: it was not recorded", path, status)
		}
	}
	if status, body := e.Metadata(t, "instance/guest-attributes/"); status != http.StatusForbidden {
		t.Errorf("guest attributes, which are not enabled: %d %q", status, body)
	}
	for _, endpoint := range []string{"default/token", "523926462582-compute@developer.gserviceaccount.com/identity?audience=a"} {
		if status, body := e.Metadata(t, "instance/service-accounts/"+endpoint); status != http.StatusOK {
			t.Errorf("%s: %d %q", endpoint, status, body)
		}
	}
}

// A recording of instance/ is merged into the fixture.
func TestRecordingOfInstanceAlone(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(recording(t, "vm.json"))
	if err != nil {
		t.Fatal(err)
	}
	var sections map[string]json.RawMessage
	if err := json.Unmarshal(whole, &sections); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "instance.json")
	const owner = 0o600
	if err := os.WriteFile(file, sections["instance"], owner); err != nil {
		t.Fatal(err)
	}
	e := replay(t, fixtures.Files{Fixture: worldtest.Testdata(t, "fixture.yaml"), Recording: file})
	for path, want := range map[string]string{
		"instance/?recursive=true":   string(sections["instance"]),
		"project/numeric-project-id": "523926462582",
		"project/project-id":         "demo-project",
		"universe/universe-domain":   "googleapis.com",
	} {
		if status, body := e.Metadata(t, path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
}

func TestRecordingInTheFormatOfAnEmulator(t *testing.T) {
	t.Parallel()
	e := replay(t, fixtures.Files{Recording: recording(t, "emulator.json")})
	for path, want := range map[string]string{
		"instance/id":                             "5775171277418378000",
		"instance/remaining-cpu-time":             "-1",
		"project/project-id":                      "demo-project", // the recording has a placeholder
		"instance/service-accounts/default/email": "metadata-sa@$PROJECT.iam.gserviceaccount.com",
		"instance/tags":                           `["tag1","tag2"]`,
		"instance/attributes/startup-script":      "#!/bin/sh\necho hi",
	} {
		if status, body := e.Metadata(t, path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	if status, body := e.Metadata(t, "instance/service-accounts/default/token"); status != http.StatusOK {
		t.Errorf("token: %d %q", status, body)
	}
}

// Values of unusual types, and names in unusual forms, are served unchanged.
func TestRecordingOfOddThings(t *testing.T) {
	t.Parallel()
	const odd = `{"instance":{"attributes":{"a":1.50,"b":[1,true],"c":{"D":"e"}},"foo-bar":{"Ab":[{"x":[]}],"z":12345678901234567890}},"project":{}}`
	file := filepath.Join(t.TempDir(), "odd.json")
	const owner = 0o600
	if err := os.WriteFile(file, []byte(odd), owner); err != nil {
		t.Fatal(err)
	}
	e := replay(t, fixtures.Files{Recording: file})
	for path, want := range map[string]string{
		"?recursive=true":         odd,
		"instance/attributes/a":   "1.50",
		"instance/attributes/b":   "1\ntrue\n",
		"instance/attributes/c/d": "e",
		"instance/foo-bar/z":      "12345678901234567890",
	} {
		if status, body := e.Metadata(t, path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	edited, err := e.World().State.WithMetadata(e.World().State.DefaultInstance(), "instance/foo-bar/z", "new")
	if err != nil {
		t.Fatal(err)
	}
	if value, err := edited.Metadata(edited.DefaultInstance(), "instance/foo-bar/z"); err != nil || value != "new" {
		t.Errorf("edited: %v, %v", value, err)
	}
}
