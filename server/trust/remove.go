package trust

import (
	"cmp"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/order"
)

// Folders of earlier authorities stay, because programs may still use them. The emulator cannot
// know when such programs end.
const (
	inUse    = 24 * time.Hour // after the last write to a folder
	keptMost = 16             // the newest other folders, which stay however old they are
)

// removeOthers removes old folders below dir, except own and the newest keptMost. It ignores
// errors, because remaining folders do no harm.
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
	order.Sort(others, func(a, b fs.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	for _, old := range others[min(keptMost, len(others)):] {
		if time.Since(old.ModTime()) > inUse {
			remove(filepath.Join(dir, old.Name()))
		}
	}
}

// isOurs reports whether Write made the folder: its name has the right form, and it contains
// the certificate of an emulator's authority.
func isOurs(folder string) bool {
	if sum, err := hex.DecodeString(filepath.Base(folder)); err != nil || len(sum) != nameSize {
		return false
	}
	content, err := input.ReadFile(filesIn(folder).Authority)
	return err == nil && slices.ContainsFunc(certificates(content), keys.IsAuthority)
}

// remove removes the files that Write wrote, and the folder if it is empty then. The authority
// comes last, because isOurs would not recognise a folder without it.
func remove(folder string) {
	files := filesIn(folder)
	names := []string{files.Bundle, files.TrustStore, files.settings()}
	for _, dir := range []string{folder, files.PHP} {
		halves, _ := filepath.Glob(filepath.Join(dir, unfinished)) // a directory name with wildcards matches nothing
		names = append(names, halves...)
	}
	for _, name := range append(names, files.PHP, files.Authority, folder) {
		_ = os.Remove(name) // removes a directory only if it is empty
	}
}
