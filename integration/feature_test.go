package integration_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const feature = "../.devcontainer/gcp-metadata-emulator/"

// The feature for devcontainers installs the binary beside its script, or a release's archive if
// the archive has the checksum.
func TestDevcontainerFeature(t *testing.T) {
	t.Parallel()
	release := filepath.Join(t.TempDir(), "release.tar.gz")
	emulator := theStage().Emulator
	if output, err := exec.Command("tar", "-czf", release, "-C", filepath.Dir(emulator), filepath.Base(emulator)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	content, err := os.ReadFile(release)
	if err != nil {
		t.Fatal(err)
	}
	fromRelease, sum := "URL=file://"+release, "SHA256="+fmt.Sprintf("%x", sha256.Sum256(content))
	for _, test := range []struct {
		name    string
		beside  bool
		options []string
		fails   string
	}{
		{name: "a binary beside the script", beside: true},
		{name: "a release", options: []string{fromRelease, sum}},
		{name: "another checksum", options: []string{fromRelease, "SHA256=" + strings.Repeat("0", 64)}, fails: "has another checksum"},
		{name: "no checksum", options: []string{fromRelease}, fails: "has no checksum"},
		{name: "nothing to install", fails: "there is no binary"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.options != nil {
				lookPath(t, "curl", "the script needs curl:")
			}
			folder, prefix := t.TempDir(), t.TempDir()
			script, err := os.ReadFile(feature + "install.sh")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, "install.sh"), script, 0o600); err != nil {
				t.Fatal(err)
			}
			if test.beside {
				if err := os.Symlink(emulator, filepath.Join(folder, "gcp-metadata-emulator")); err != nil {
					t.Fatal(err)
				}
			}
			install := exec.Command("sh", filepath.Join(folder, "install.sh"))
			install.Env = append([]string{"PATH=" + os.Getenv("PATH"), "PREFIX=" + prefix}, test.options...)
			output, err := install.CombinedOutput()
			if (err != nil) != (test.fails != "") || !strings.Contains(string(output), test.fails) {
				t.Errorf("%v\n%s\nwant %q", err, output, test.fails)
			}
			if _, err := exec.LookPath(filepath.Join(prefix, "bin", "gcp-metadata-emulator")); (err != nil) != (test.fails != "") {
				t.Errorf("the installed command: %v", err)
			}
		})
	}
}

// The feature's options are the variables of its script, and its environment leads libraries to
// the address at which its command serves.
func TestDevcontainerFeatureDescription(t *testing.T) {
	t.Parallel()
	var description struct {
		ID      string `json:"id"`
		Options map[string]struct {
			Type string `json:"type"`
		} `json:"options"`
		ContainerEnv map[string]string `json:"containerEnv"`
	}
	content, err := os.ReadFile(feature + "devcontainer-feature.json")
	if err == nil {
		err = json.Unmarshal(content, &description)
	}
	if err != nil {
		t.Fatal(err)
	}
	if description.ID != filepath.Base(feature) {
		t.Errorf("the ID is %q, want the directory's name", description.ID)
	}
	script, err := os.ReadFile(feature + "install.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name, option := range description.Options {
		if option.Type != "string" || !strings.Contains(string(script), "${"+strings.ToUpper(name)+":-}") {
			t.Errorf("the script does not read the option %q", name)
		}
	}
	help, err := exec.Command(theStage().Emulator, "serve", "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if at := description.ContainerEnv["GCE_METADATA_HOST"]; at == "" || !strings.Contains(string(help), at) {
		t.Errorf("GCE_METADATA_HOST is %q, want the default address of serve", at)
	}
}
