// Package journal remembers what was asked of the emulator and what it answered, so that a
// test can look, and a developer watch.
//
// It keeps the exchanges that were the last, bounded in number and in bytes, and no secret of
// any of them: neither bodies nor headers but one, and of what a client sent only what Redacted
// leaves. It knows nothing of HTTP but the words.
package journal

import (
	"strings"
	"sync"
	"time"

	"gcp-metadata-emulator/server/clock"
)

// Exchange is a request and its answer.
type Exchange struct {
	Sequence  uint64         `json:"sequence"` // 1 for the first one
	Time      time.Time      `json:"time"`     // of the request, by the emulator's clock
	Duration  clock.Duration `json:"duration"` // until the answer was ready, by the machine's
	Method    string         `json:"method"`
	Path      string         `json:"path"` // with its query
	Route     string         `json:"route"`
	Instance  string         `json:"instance,omitempty"` // whose metadata server it was for
	Account   string         `json:"account,omitempty"`  // whose credential was asked for, or in whose name
	Audience  string         `json:"audience,omitempty"` // for which an ID token was asked
	Status    int            `json:"status"`             // 0: there was no answer, or nobody any more to get it
	Bytes     int            `json:"bytes"`              // of the answer's body
	UserAgent string         `json:"userAgent,omitempty"`
	Fault     string         `json:"fault,omitempty"` // the ID of the one that it met
}

// size is about how many bytes an exchange keeps from being freed.
func (e *Exchange) size() int {
	const fixed = 256
	size := fixed
	for _, text := range e.texts() {
		size += len(*text)
	}
	return size
}

// texts are those that a client has chosen, and that may be as long as it likes.
func (e *Exchange) texts() [6]*string {
	return [...]*string{&e.Method, &e.Path, &e.Instance, &e.Account, &e.Audience, &e.UserAgent}
}

// redact takes the secrets out of what a client has sent. Where there are some, the texts are
// copied: each may be a part of a longer one that would be kept with it.
func (e *Exchange) redact() {
	hidden := false
	for _, text := range e.texts() {
		shown := Redacted(*text)
		hidden = hidden || shown != *text
		*text = shown
	}
	if !hidden {
		return
	}
	for _, text := range e.texts() {
		*text = strings.Clone(*text)
	}
}

// Bounds of what is remembered.
const (
	maxExchanges = 1000
	maxBytes     = 1 << 20
)

// Journal is that of one emulator. It is safe for concurrent use, and nobody who reads it
// keeps anybody from writing.
type Journal struct {
	mu      sync.Mutex
	ring    []Exchange // grows up to maxExchanges
	first   int        // where the oldest one is
	count   int
	bytes   int
	last    uint64        // the sequence number of the newest one
	dropped uint64        // how many are no longer remembered, since the journal was cleared
	newest  time.Time     // the latest of their times
	changed chan struct{} // closed by the next one; nil while nobody waits for it
}

// New is an empty journal.
func New() *Journal { return &Journal{} }

// Append writes an exchange down without its secrets, and gives it its number.
func (j *Journal) Append(e Exchange) {
	e.redact()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.Sequence = j.last
	size := e.size()
	for j.count == maxExchanges || j.count > 0 && j.bytes+size > maxBytes {
		j.drop()
	}
	j.bytes += size
	if j.count == len(j.ring) && len(j.ring) < maxExchanges {
		j.grow()
	}
	j.ring[(j.first+j.count)%len(j.ring)] = e
	j.count++
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// drop forgets the oldest exchange. The caller holds mu.
func (j *Journal) drop() {
	oldest := &j.ring[j.first]
	if oldest.Time.After(j.newest) { // it need not be the one before's: the clock can be set back
		j.newest = oldest.Time
	}
	j.bytes -= oldest.size()
	*oldest = Exchange{}
	j.first = (j.first + 1) % len(j.ring)
	j.count--
	j.dropped++
}

// grow makes room for more, while the oldest exchange is the first. The caller holds mu.
func (j *Journal) grow() {
	const least = 16
	larger := make([]Exchange, min(max(least, 2*len(j.ring)), maxExchanges))
	for i := range j.count {
		larger[i] = j.ring[(j.first+i)%len(j.ring)]
	}
	j.ring, j.first = larger, 0
}

// Clear forgets everything. Numbers go on.
func (j *Journal) Clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ring, j.first, j.count, j.bytes, j.dropped, j.newest = nil, 0, 0, 0, 0, time.Time{}
}

// Snapshot is what a journal remembers.
type Snapshot struct {
	Exchanges []Exchange      // oldest first
	Dropped   uint64          // how many of those that were asked for are no longer remembered
	DroppedTo time.Time       // no exchange that is no longer remembered is of a later time
	Last      uint64          // the sequence number of the newest exchange there has been
	Changed   <-chan struct{} // closed as soon as there is a newer one
}

// Since is what came after the exchange of a sequence number; 0: everything.
func (j *Journal) Since(sequence uint64) Snapshot {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	snapshot := Snapshot{DroppedTo: j.newest, Last: j.last, Changed: j.changed}
	before := j.last - uint64(j.count) // the newest one that is not remembered
	if before > sequence {
		snapshot.Dropped = min(before-sequence, j.dropped)
	}
	for i := range j.count {
		if e := j.ring[(j.first+i)%len(j.ring)]; e.Sequence > sequence {
			snapshot.Exchanges = append(snapshot.Exchanges, e)
		}
	}
	return snapshot
}
