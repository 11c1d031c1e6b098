package keys

import (
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bundle keeps the files of a ring in memory. It implements Files, so a ring can begin with the keys of
// another. It is safe for concurrent use.
type Bundle struct {
	mu       sync.Mutex
	files    map[string]bundled
	versions map[string]int64 // by folder
	last     int64            // the newest version
}

type bundled struct {
	data    []byte
	written int64
}

// NewBundle returns a bundle of files by their slash-separated names.
func NewBundle(files map[string][]byte) *Bundle {
	b := &Bundle{files: map[string]bundled{}, versions: map[string]int64{}}
	for name, data := range files {
		_ = b.Write(name, data) // never fails
	}
	return b
}

// All returns the files by their names.
func (b *Bundle) All() map[string][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string][]byte, len(b.files))
	for name, file := range b.files {
		all[name] = file.data
	}
	return all
}

// List returns the names of the files in a folder.
func (b *Bundle) List(folder string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for name := range maps.Keys(b.files) {
		if in, file := path.Split(name); in == folder+"/" {
			names = append(names, file)
		}
	}
	return names
}

// Version returns the version of the last change in a folder.
func (b *Bundle) Version(folder string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.versions[folder]
}

// Read returns the content of a file, and its version.
func (b *Bundle) Read(name string) (data []byte, written int64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	file, ok := b.files[name]
	return file.data, file.written, ok
}

// Create stores a new file.
func (b *Bundle) Create(name string, data []byte) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, taken := b.files[name]; taken {
		return false, nil
	}
	b.put(name, data)
	return true, nil
}

// Write stores a file in place of another.
func (b *Bundle) Write(name string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(name, data)
	return nil
}

// put stores a file. The lock is held.
func (b *Bundle) put(name string, data []byte) {
	b.last++
	b.files[name] = bundled{data, b.last}
	b.versions[path.Dir(name)] = b.last
}

// Remove removes files.
func (b *Bundle) Remove(names []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		b.last++
		delete(b.files, name)
		b.versions[path.Dir(name)] = b.last
	}
	return nil
}

// CheckFiles returns the error of the first file that no ring can use. It changes nothing.
func CheckFiles(files map[string][]byte, now func() time.Time) error {
	ring := NewSharedRing(NewBundle(files), now)
	defer ring.Close()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if _, _, err := ring.vault.read(name); err != nil {
			return err
		}
	}
	if err := ring.Load(); err != nil {
		return err
	}
	if _, err := ring.IAP(); err != nil {
		return err
	}
	uses := map[string]purpose{"system": systemManaged(""), "user": userManaged("")}
	for name := range files {
		folder := path.Dir(name)
		use, ok := uses[path.Base(folder)]
		if !ok || !strings.HasPrefix(name, accountsFolder+"/") {
			continue
		}
		if _, err := newSet(use, folder, ring.vault, ring.pool, now).Known(); err != nil {
			return err
		}
	}
	return nil
}

// escape begins the two hexadecimal digits of a byte that a flat name cannot have.
const escape = '_'

// FlatName returns a name without folders for a file of a ring, with the characters that the keys of a
// Kubernetes Secret may have.
func FlatName(name string) string {
	var flat strings.Builder
	for _, c := range []byte(name) {
		if c == '-' || c == '.' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			flat.WriteByte(c)
			continue
		}
		fmt.Fprintf(&flat, "%c%02x", escape, c)
	}
	return flat.String()
}

// FileName returns the name that FlatName has made flat. ok is false if no file of a ring has the name.
func FileName(flat string) (name string, ok bool) {
	var text strings.Builder
	for rest := flat; rest != ""; {
		before, after, escaped := strings.Cut(rest, string(escape))
		text.WriteString(before)
		if !escaped {
			break
		}
		const digits = 2
		if len(after) < digits {
			return "", false
		}
		c, err := hex.DecodeString(after[:digits])
		if err != nil {
			return "", false
		}
		text.Write(c)
		rest = after[digits:]
	}
	name = text.String()
	return name, IsFile(name)
}

// IsFile reports whether a slash-separated name can be that of a file of a ring.
func IsFile(name string) bool {
	return path.Clean(name) == name && (strings.HasPrefix(name, "keys/") || strings.HasPrefix(name, "ca/"))
}
