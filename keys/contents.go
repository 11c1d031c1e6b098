package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"gcp-metadata-emulator/keys/disk"
)

// ContentID identifies content that the ring keeps. It is a digest of the content.
type ContentID [16]byte

func contentID(content []byte) ContentID {
	sum := sha256.Sum256(content)
	return ContentID(sum[:len(ContentID{})])
}

const (
	contentsFolder = "contents"

	keptFiles   = 4096     // contents in a directory
	keptInTotal = 16 << 20 // bytes in memory
)

// touchEvery is the time between two marks of a kept content in use. The marks keep other processes
// from pruning it.
const touchEvery = time.Minute

// contents keeps the part of a token's content that is too long for the token itself. Tokens with
// the same content share one entry, so the number of entries does not grow with the number of
// tokens. If there are too many, new entries replace the oldest.
type contents struct {
	vault *kept

	mu    sync.Mutex
	known *simplelru.LRU[ContentID, entry]
	total int // bytes of known
}

// entry is a content in memory.
type entry struct {
	content []byte
	touched time.Time // the last time that its file was written or touched, by the machine's clock
}

func newContents(vault *kept) *contents {
	known, err := simplelru.NewLRU[ContentID, entry](keptFiles, nil)
	if err != nil {
		panic(err) // the size is a constant above 0
	}
	return &contents{vault: vault, known: known}
}

// remember keeps a content in memory that has just been written or touched.
func (c *contents) remember(id ContentID, content []byte) {
	now := machineTime()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known.Contains(id) {
		c.known.Add(id, entry{content, now})
		return
	}
	if c.known.Len() == keptFiles {
		c.forgetOldest()
	}
	c.known.Add(id, entry{content, now})
	for c.total += len(content); c.total > keptInTotal; {
		c.forgetOldest()
	}
}

// forgetOldest removes one entry. The caller must hold mu.
func (c *contents) forgetOldest() {
	_, oldest, _ := c.known.RemoveOldest()
	c.total -= len(oldest.content)
}

func (c *contents) recall(id ContentID) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known.Get(id)
}

// keep writes a content's file, or makes it the latest.
func (c *contents) keep(id ContentID, content []byte) error {
	name := id.file()
	err := c.vault.touch(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := c.vault.restore(name, content); errors.Is(err, errReplaced) || errors.Is(err, errDamaged) {
		return c.vault.replace(name, content) // the name says what it must be
	} else if err != nil {
		return err
	}
	return c.vault.prune(contentsFolder, keptFiles)
}

// restore writes the contents in memory, oldest first, if their folder was removed.
func (c *contents) restore() error {
	c.mu.Lock()
	ids := c.known.Keys()
	c.mu.Unlock()
	if len(ids) == 0 || c.vault.stamp(contentsFolder) != disk.Absent {
		return nil
	}
	for _, id := range ids {
		if known, ok := c.recall(id); ok {
			if err := c.keep(id, known.content); err != nil {
				return err
			}
		}
	}
	c.vault.tellRestored(contentsFolder)
	return nil
}

// KeepContent keeps content, and returns the ID by which every process with the same directory
// finds it. If the directory cannot be written, only this ring finds it.
func (r *Ring) KeepContent(content []byte) ContentID {
	id := contentID(content)
	known, ok := r.contents.recall(id)
	if ok && machineTime().Sub(known.touched) < touchEvery {
		return id
	}
	if err := r.contents.keep(id, content); err != nil {
		r.vault.tell(err)
	}
	r.contents.remember(id, content)
	return id
}

// KeptContent returns the content with this ID. ok is false if nothing was kept under the ID, if
// its file was changed, or if newer content has taken its place.
func (r *Ring) KeptContent(id ContentID) (content []byte, ok bool, err error) {
	if known, ok := r.contents.recall(id); ok {
		return known.content, true, nil
	}
	content, err = load(r.vault, id.file(), id.form())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if isSystemError(err) {
		return nil, false, err
	}
	if err != nil {
		r.vault.tell(err)
		return nil, false, nil
	}
	r.contents.remember(id, content)
	return content, true, nil
}

func (id ContentID) file() string { return contentsFolder + "/" + hex.EncodeToString(id[:]) }

// form returns the form of a content's file. Its name is the content's digest.
func (id ContentID) form() form[[]byte] {
	same := func(data []byte) ([]byte, error) { return data, nil }
	return form[[]byte]{encode: same, decode: func(data []byte) ([]byte, error) {
		if contentID(data) != id {
			return nil, errors.New("it is damaged: its name is not the digest of its content")
		}
		return data, nil
	}}
}
