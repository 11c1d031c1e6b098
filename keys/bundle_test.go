package keys_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
)

// Every name has one flat form, with the characters of a Secret, and comes back.
func TestFlatNames(t *testing.T) {
	t.Parallel()
	for name, flat := range map[string]string{
		"keys/google/1.pem":                  "keys_2fgoogle_2f1.pem",
		"ca/1.pem":                           "ca_2f1.pem",
		"keys/accounts/a_b@x.y/system/2.pem": "keys_2faccounts_2fa_5fb_40x.y_2fsystem_2f2.pem",
	} {
		if got := keys.FlatName(name); got != flat {
			t.Errorf("%s is flat %s, want %s", name, got, flat)
		}
		if got, ok := keys.FileName(flat); got != name || !ok {
			t.Errorf("%s comes back as %s, %v", flat, got, ok)
		}
	}
	for _, flat := range []string{"", "..data", "keys", "keys_2f", "keys_2", "keys_xy", "keys_2f.._2fx", "other_2f1.pem", "keys_2f_2fx", "_2fkeys_2fx"} {
		if name, ok := keys.FileName(flat); ok {
			t.Errorf("%s is accepted as %s", flat, name)
		}
	}
}

// A ring that begins with the files of another one publishes the same keys, and keeps what it adds.
func TestBundle(t *testing.T) {
	t.Parallel()
	one := keys.NewBundle(nil)
	first := keys.NewSharedRing(one, time.Now)
	defer first.Close()
	published, err := first.Google().Published(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Wait()
	copied := keys.NewBundle(one.All())
	second := keys.NewSharedRing(copied, time.Now)
	defer second.Close()
	again, err := second.Google().Published(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(again) == 0 || again[0].ID() != published[0].ID() {
		t.Errorf("the second ring publishes %v, the first %v", again, published)
	}
	before := len(one.All())
	if _, err := second.System("a@demo-project.iam.gserviceaccount.com").Published(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.Wait()
	if len(copied.All()) <= before || len(one.All()) != before {
		t.Errorf("the bundles have %d and %d files, and had %d", len(one.All()), len(copied.All()), before)
	}
}

// Every damaged file is named, also those that a ring does not read when it starts.
func TestCheckFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settle(t, newRing(t, dir, time.Now))
	files := map[string][]byte{}
	for _, file := range kept(t, dir) {
		content, err := os.ReadFile(file)
		name, relErr := filepath.Rel(dir, file)
		if err := errors.Join(err, relErr); err != nil {
			t.Fatal(err)
		}
		if name = filepath.ToSlash(name); keys.IsFile(name) {
			files[name] = content
		}
	}
	if err := keys.CheckFiles(files, time.Now); err != nil {
		t.Errorf("files in order: %v", err)
	}
	for name := range files {
		damaged := maps.Clone(files)
		damaged[name] = []byte("damaged")
		var file *keys.FileError
		if err := keys.CheckFiles(damaged, time.Now); !errors.As(err, &file) || file.Path != name {
			t.Errorf("%s is damaged: %v", name, err)
		}
	}
}
