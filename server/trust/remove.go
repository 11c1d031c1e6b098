package trust

import (
	"cmp"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gcp-metadata-emulator/keys"
)

// Folders that Write has made stay for programs that were told of them and still run. There is
// nobody who says that they have ended.
const (
	inUse    = 24 * time.Hour // since a folder was written last
	keptMost = 16             // older folders, besides those
)

// removeOthers removes the folders below dir which nobody has written to for long, but for the
// newest, and but for one. That it fails is no harm.
func removeOthers(dir, own string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	var others []fs.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if folder := filepath.Join(dir, entry.Name()); err == nil && info.IsDir() && folder != own && isOurs(folder) {
			others = append(others, info)
		}
	}
	slices.SortFunc(others, func(a, b fs.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	for _, old := range others[min(keptMost, len(others)):] {
		if time.Since(old.ModTime()) > inUse {
			remove(filepath.Join(dir, old.Name()))
		}
	}
}

// isOurs tells whether Write has made a folder: it is named as such, and there is an emulator's
// authority in it.
func isOurs(folder string) bool {
	if sum, err := hex.DecodeString(filepath.Base(folder)); err != nil || len(sum) != nameSize {
		return false
	}
	content, err := os.ReadFile(filesIn(folder).Authority)
	return err == nil && slices.ContainsFunc(certificates(content), keys.IsAuthority)
}

// remove removes what Write writes, and the folder where nothing else is in it. The authority is
// last: what is left without it would not be known again.
func remove(folder string) {
	files := filesIn(folder)
	names := []string{files.Bundle, files.TrustStore, files.settings()}
	for _, dir := range []string{folder, files.PHP} {
		halves, _ := filepath.Glob(filepath.Join(dir, unfinished)) // a strange name of the directory finds nothing
		names = append(names, halves...)
	}
	for _, name := range append(names, files.PHP, files.Authority, folder) {
		_ = os.Remove(name) // a directory only if it is empty
	}
}
