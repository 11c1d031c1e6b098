package server_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ownFiles are the source files that open files without package input. No other program can have put a
// pipe in their place, or they open folders, and only regular files in them.
func ownFiles() []string {
	return []string{
		"fixtures/input/input.go", "server/background/log.go", "server/background/background.go", "server/background/system_unix.go",
		"keys/disk/system_unix.go",
		"server/cli/conformance.go", "server/cli/doctor.go", "server/cli/lock_unix.go", "server/cli/process_linux.go", "server/cli/takeover.go",
		"server/emulatortest/document.go", "server/records/recordstest/etcd.go",
	}
}

// Package input reads the files that users name: no other package opens a file that may be a pipe.
func TestOnePackageReadsFiles(t *testing.T) {
	t.Parallel()
	opens := regexp.MustCompile(`\bos\.(ReadFile|Open|DirFS)\b`)
	var found []string
	for _, top := range []string{"server", "signer", "keys", "fixtures"} {
		root := filepath.Join("..", top)
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			if name, _ := filepath.Rel("..", path); err == nil && opens.Match(content) {
				found = append(found, filepath.ToSlash(name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range found {
		if !slices.Contains(ownFiles(), name) {
			t.Errorf("%s opens files by itself; use package input", name)
		}
	}
	for _, name := range ownFiles() {
		if !slices.Contains(found, name) {
			t.Errorf("%s opens no files any more; take it off the list", name)
		}
	}
}
