package oauth2

import (
	"maps"
	"sync"
)

// Documents keeps the waiting devices, each as a document named by its user code.
type Documents interface {
	// Find returns a document.
	Find(name string) ([]byte, bool)
	// All returns every document by its name.
	All() map[string][]byte
	// Change replaces a document by the result of a function, in one step. If there is no such
	// document, the function gets nil. If it returns nil, the document is removed. It may be called
	// again. If it returns an error, nothing changes.
	Change(name string, change func(old []byte) ([]byte, error)) error
	// Reset removes every document.
	Reset()
}

// memory keeps documents in this process.
type memory struct {
	mu     sync.Mutex
	byName map[string][]byte
}

func newMemory() *memory { return &memory{byName: map[string][]byte{}} }

func (m *memory) Find(name string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.byName[name]
	return found, ok
}

func (m *memory) All() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.byName)
}

func (m *memory) Change(name string, change func([]byte) ([]byte, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, err := change(m.byName[name])
	switch {
	case err != nil:
		return err
	case next == nil:
		delete(m.byName, name)
	default:
		m.byName[name] = next
	}
	return nil
}

func (m *memory) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.byName)
}
