package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"sync"
)

// Every kept file begins with a line with the SHA-256 of the file's name and of the rest of the
// file. Programs that read PEM skip such a line.
const (
	checksumLabel = "checksum: "
	checksumLine  = len(checksumLabel) + 2*sha256.Size + len("\n")
)

func checksum(name string, data []byte) string {
	hash := sha256.New()
	hash.Write([]byte(name + "\x00"))
	hash.Write(data)
	return checksumLabel + hex.EncodeToString(hash.Sum(nil)) + "\n"
}

func seal(name string, data []byte) []byte { return append([]byte(checksum(name, data)), data...) }

var errDamaged = errors.New("its checksum does not match: it is damaged, or belongs to another file name")

// unseal returns the data in a file, and whether the file has a checksum. Files of earlier versions
// have no checksum.
func unseal(name string, file []byte) (data []byte, sealed bool, err error) {
	if !strings.HasPrefix(string(file[:min(len(file), len(checksumLabel))]), checksumLabel) {
		return file, false, nil
	}
	if len(file) < checksumLine || checksum(name, file[checksumLine:]) != string(file[:checksumLine]) {
		return nil, true, errDamaged
	}
	return file[checksumLine:], true, nil
}

// sweep removes unfinished files of killed processes, and reports whether others can change the
// vault.
func (k *kept) sweep() {
	k.vault.sweep()
	if exposure := k.vault.exposure(); exposure != "" {
		k.tell(&ExposedError{Path: k.path(""), Problem: exposure})
	}
}

// errClosed reports a write after the ring was closed.
var errClosed = errors.New("the keys have been closed")

// kept is a vault with a checksum in each file. It can be closed, so that a process does not end in
// the middle of a write.
type kept struct {
	vault  vault
	stored bool        // the vault outlasts the process
	lasts  func() bool // reports whether to keep new keys

	lost func() // called after files were written that somebody had removed; it must not wait
	*troubles

	mu     sync.Mutex // held during each write
	closed bool
}

func newKept(vault vault) *kept {
	stored := vault != memory{}
	return &kept{vault: vault, stored: stored, lasts: func() bool { return stored }, lost: func() {}, troubles: newTroubles()}
}

func (k *kept) names(folder string) ([]string, error) { return k.vault.names(folder) }
func (k *kept) stamp(folder string) int64             { return k.vault.stamp(folder) }
func (k *kept) modified(name string) int64            { return k.vault.modified(name) }
func (k *kept) touch(name string) error               { return k.vault.touch(name) }
func (k *kept) prune(folder string, most int) error   { return k.vault.prune(folder, most) }
func (k *kept) path(name string) string               { return k.vault.path(name) }

// read returns the data in a file, and whether the file has a checksum.
func (k *kept) read(name string) (data []byte, sealed bool, err error) {
	file, exposure, err := k.vault.read(name)
	if err != nil {
		return nil, false, err
	}
	if exposure != "" {
		k.tell(&ExposedError{Path: k.path(name), Problem: exposure})
	}
	data, sealed, err = unseal(name, file)
	if err != nil {
		return nil, sealed, k.unusable(name, err)
	}
	return data, sealed, nil
}

func (k *kept) unusable(name string, err error) error {
	return &FileError{Path: k.path(name), Problem: "cannot be used", Err: err}
}

// create stores data under a new name. If the name is taken, taken is true, and create stores
// nothing.
func (k *kept) create(name string, data []byte) (taken bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false, errClosed
	}
	err = k.vault.create(name, seal(name, data))
	if errors.Is(err, fs.ErrExist) {
		return true, nil
	}
	return false, err
}

// replace stores data under a name that is taken already.
func (k *kept) replace(name string, data []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errClosed
	}
	return k.vault.replace(name, seal(name, data))
}

// restore stores data again if somebody has removed its file. It reports whether it did. The error
// is errReplaced if the file has other data by now.
func (k *kept) restore(name string, data []byte) (done bool, err error) {
	taken, err := k.create(name, data)
	if err != nil || !taken {
		return err == nil, err
	}
	present, _, err := k.read(name)
	if err == nil && string(present) != string(data) {
		err = k.unusable(name, errReplaced)
	}
	return false, err
}

var errReplaced = errors.New("another process has made another one since this process read it")

// tellRestored reports that files of a folder have been written again.
func (k *kept) tellRestored(folder string) {
	k.repeat(&RemovedError{Folder: k.path(folder)})
	k.lost()
}

// close waits for the current write, and prevents later writes.
func (k *kept) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
}

// form is the form of one kind of kept file.
type form[T any] struct {
	decode func(data []byte) (T, error)
	encode func(T) ([]byte, error)
	// verify reports damage to a file without a checksum, if decode and encode do not notice it. It
	// may be nil.
	verify func(T) error
}

var errUnlike = errors.New("it is damaged: it differs from the form in which keys are kept")

// load reads a kept file. A file without a checksum, of an earlier version, must be the encoding of
// its content, byte by byte, and gets a checksum then.
func load[T any](from *kept, name string, as form[T]) (T, error) {
	data, sealed, err := from.read(name)
	if err != nil {
		var none T
		return none, err
	}
	value, err := as.decode(data)
	if err == nil && !sealed {
		err = as.check(value, data)
	}
	if err != nil {
		return value, from.unusable(name, err)
	}
	if !sealed {
		if err := from.replace(name, data); err != nil {
			from.tell(err) // the file can be used nevertheless
		}
	}
	return value, nil
}

// check verifies a file without a checksum.
func (f form[T]) check(value T, data []byte) error {
	encoded, err := f.encode(value)
	if err != nil {
		return err
	}
	if string(encoded) != string(data) {
		return errUnlike
	}
	if f.verify == nil {
		return nil
	}
	return f.verify(value)
}

// loadOrCreate creates a file, or loads it if another process has created it before.
func loadOrCreate[T any](in *kept, name string, as form[T], fresh func() ([]byte, error)) (T, error) {
	value, err := load(in, name, as)
	if !errors.Is(err, fs.ErrNotExist) {
		return value, err
	}
	data, err := fresh()
	if err != nil {
		return value, err
	}
	taken, err := in.create(name, data)
	switch {
	case err != nil:
		return value, err
	case taken:
		return load(in, name, as)
	default:
		return as.decode(data)
	}
}
