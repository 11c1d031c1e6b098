package keys

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
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

// contents keeps the part of a token's content that is too long for the token itself. Tokens with
// the same content share one entry, so the number of entries does not grow with the number of
// tokens. The oldest entries give way to new ones.
type contents struct {
	vault *closable

	mu    sync.Mutex
	known *simplelru.LRU[ContentID, []byte]
	total int // bytes of known
}

func newContents(vault *closable) *contents {
	known, err := simplelru.NewLRU[ContentID, []byte](keptFiles, nil)
	if err != nil {
		panic(err) // the size is a constant above 0
	}
	return &contents{vault: vault, known: known}
}

func (c *contents) remember(id ContentID, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known.Contains(id) {
		return
	}
	if c.known.Len() == keptFiles {
		c.forgetOldest()
	}
	c.known.Add(id, content)
	for c.total += len(content); c.total > keptInTotal; {
		c.forgetOldest()
	}
}

// forgetOldest removes one entry. The caller must hold mu.
func (c *contents) forgetOldest() {
	_, oldest, _ := c.known.RemoveOldest()
	c.total -= len(oldest)
}

func (c *contents) recall(id ContentID) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known.Get(id)
}

// KeepContent keeps content, and returns the ID by which every process with the same directory
// finds it.
func (r *Ring) KeepContent(content []byte) (ContentID, error) {
	id := contentID(content)
	if _, ok := r.contents.recall(id); ok {
		return id, nil
	}
	_, err := r.vault.create(contentsFolder+"/"+hex.EncodeToString(id[:]), content)
	err = cmp.Or(err, r.vault.prune(contentsFolder, keptFiles))
	if err == nil {
		r.contents.remember(id, content)
	}
	return id, err
}

// KeptContent returns the content with this ID. ok is false if nothing was kept under the ID, if
// its file was changed, or if newer content has taken its place.
func (r *Ring) KeptContent(id ContentID) (content []byte, ok bool, err error) {
	if content, ok := r.contents.recall(id); ok {
		return content, true, nil
	}
	content, err = r.vault.read(contentsFolder + "/" + hex.EncodeToString(id[:]))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil || contentID(content) != id {
		return nil, false, err
	}
	r.contents.remember(id, content)
	return content, true, nil
}
