// Package journal records requests to the emulator and its answers, for tests to inspect and
// for developers to watch.
//
// It keeps the latest exchanges, limited in number and in bytes. It records no secrets: neither
// bodies nor headers except User-Agent and the claims of tokens, without their signatures, and client
// texts only as Redacted returns them. It
// knows the terms of HTTP but handles no HTTP.
package journal

import (
	"strings"
	"sync"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/reason"
)

// Exchange is a request and its answer.
type Exchange struct {
	Sequence  uint64            `json:"sequence"` // 1 for the first one
	Time      time.Time         `json:"time"`     // when the request arrived, by the emulator's clock
	Duration  fixtures.Duration `json:"duration"` // until the answer was ready, by the machine's clock
	Method    string            `json:"method"`
	Path      string            `json:"path"` // includes the query
	Route     string            `json:"route"`
	Instance  string            `json:"instance,omitempty"` // the instance that the request addressed
	ChosenBy  string            `json:"chosenBy,omitempty"` // the rule that led the request to the instance: listener, host, address, pod or default
	Peer      string            `json:"peer,omitempty"`     // the address of the caller, if the instance was chosen by it
	Account   string            `json:"account,omitempty"`  // the account whose credential was requested, or that made the request
	Audience  string            `json:"audience,omitempty"` // the audience of the requested ID token
	Status    int               `json:"status"`             // 0: no answer was sent, or the client had gone
	Bytes     int               `json:"bytes"`              // the size of the answer's body
	UserAgent string            `json:"userAgent,omitempty"`
	Fault     string            `json:"fault,omitempty"` // the ID of the fault that applied

	// For requests that a door has decided about, and for other refusals with a reason.
	Host    string      `json:"host,omitempty"`
	Caller  string      `json:"caller,omitempty"` // the principal, as policies name it
	Code    reason.Code `json:"code,omitempty"`   // of the reason
	Reason  string      `json:"reason,omitempty"` // why the request was refused, in one sentence
	Hint    string      `json:"hint,omitempty"`   // the change to make
	Missing *Missing    `json:"missing,omitempty"`

	Carried Claims `json:"carried,omitzero"` // of the token with which the request came
	Got     Claims `json:"got,omitzero"`     // of the token in the answer
}

// Missing is a caller's missing permission, with the roles that would grant it.
type Missing struct {
	Permission string   `json:"permission"`
	Resource   string   `json:"resource"`
	Roles      []string `json:"roles"`
}

// size returns roughly how many bytes of memory an exchange keeps in use.
func (e *Exchange) size() int {
	const fixed = 256
	const whole = 2 // claims may be a part of a token, about half of it
	size := fixed + whole*(len(e.Carried)+len(e.Got))
	for _, text := range e.texts() {
		size += len(*text)
	}
	return size
}

// texts returns the client's own texts. Their length is unlimited.
func (e *Exchange) texts() [10]*string {
	return [...]*string{&e.Method, &e.Path, &e.Instance, &e.Account, &e.Audience, &e.UserAgent, &e.Host, &e.Caller, &e.Reason, &e.Hint}
}

// share compares the texts with the texts of another exchange, which has no secrets. If two texts are
// equal, the exchange shares the memory of the other text. share returns the indexes of the different
// texts, as a set of bits.
func (e *Exchange) share(other *Exchange) (different uint) {
	known := other.texts()
	for i, text := range e.texts() {
		if *text == *known[i] {
			*text = *known[i]
		} else {
			different |= 1 << i
		}
	}
	return different
}

// redact removes the secrets from the client's texts with an index in a set of bits. If it finds a secret,
// it copies all texts: each may be part of a longer string with the secret in it.
func (e *Exchange) redact(different uint) {
	hidden := false
	for i, text := range e.texts() {
		if different>>i&1 == 0 {
			continue
		}
		shown := Redacted(*text)
		hidden = hidden || shown != *text
		*text = shown
	}
	if hidden {
		e.copyTexts()
	}
}

// copyTexts copies all texts, into a single piece of memory.
func (e *Exchange) copyTexts() {
	var all strings.Builder
	size := 0
	for _, text := range e.texts() {
		size += len(*text)
	}
	all.Grow(size)
	for _, text := range e.texts() {
		at := all.Len()
		all.WriteString(*text)
		*text = all.String()[at:]
	}
}

// redactMissing removes secrets from the name of the resource, which a client may have written.
func (e *Exchange) redactMissing() {
	if e.Missing == nil {
		return
	}
	if shown := Redacted(e.Missing.Resource); shown != e.Missing.Resource {
		missing := *e.Missing // others may share it
		missing.Resource = shown
		e.Missing = &missing
	}
}

// Redacted returns a copy of the exchange without the secrets of the client.
func (e *Exchange) Redacted() *Exchange {
	shown := *e
	shown.redactMissing()
	shown.redact(shown.share(&Exchange{}))
	return &shown
}

// Limits of the journal, in exchanges and in bytes.
const (
	maxExchanges = 1000
	maxBytes     = 1 << 20
)

// Journal is the journal of an emulator. It is safe for concurrent use, and readers do not block writers.
type Journal struct {
	mu      sync.Mutex
	ring    []Exchange // grows up to maxExchanges
	first   int        // the index of the oldest exchange
	count   int
	bytes   int
	last    uint64        // the sequence number of the newest exchange
	dropped uint64        // the number of exchanges dropped since the journal was cleared
	latest  time.Time     // the latest time of a dropped exchange
	changed chan struct{} // closed by the next exchange; nil while no reader waits
}

// New returns an empty journal.
func New() *Journal { return &Journal{} }

// Append records an exchange without its secrets, and numbers it.
func (j *Journal) Append(e Exchange) {
	e.redactMissing()
	if different := j.shareNewest(&e); different != 0 {
		e.redact(different)
	}
	j.keep(e)
}

// shareNewest makes an exchange share the texts of the newest exchange. It returns the indexes of the different
// texts, as a set of bits.
func (j *Journal) shareNewest(e *Exchange) (different uint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return e.share(j.newest())
}

// keep numbers an exchange without secrets, and records it.
func (j *Journal) keep(e Exchange) {
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

// newest returns the newest exchange, or an empty exchange if the journal is empty. The next exchange often
// has the same texts. The caller must hold mu.
func (j *Journal) newest() *Exchange {
	if j.count == 0 {
		return &Exchange{}
	}
	return &j.ring[(j.first+j.count-1)%len(j.ring)]
}

// drop removes the oldest exchange. The caller must hold mu.
func (j *Journal) drop() {
	oldest := &j.ring[j.first]
	if oldest.Time.After(j.latest) { // the clock can be set back, so a later exchange may have an earlier time
		j.latest = oldest.Time
	}
	j.bytes -= oldest.size()
	*oldest = Exchange{}
	j.first = (j.first + 1) % len(j.ring)
	j.count--
	j.dropped++
}

// grow makes room for more exchanges. The oldest exchange must be at index 0. The caller must
// hold mu.
func (j *Journal) grow() {
	const least = 16
	larger := make([]Exchange, min(max(least, 2*len(j.ring)), maxExchanges))
	for i := range j.count {
		larger[i] = j.ring[(j.first+i)%len(j.ring)]
	}
	j.ring, j.first = larger, 0
}

// Clear removes all exchanges. Sequence numbers continue.
func (j *Journal) Clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ring, j.first, j.count, j.bytes, j.dropped, j.latest = nil, 0, 0, 0, 0, time.Time{}
}

// Snapshot is the content of a journal at a moment.
type Snapshot struct {
	Exchanges []Exchange      // oldest first
	Dropped   uint64          // the number of requested exchanges that have been dropped
	DroppedTo time.Time       // no dropped exchange has a later time
	Last      uint64          // the sequence number of the newest exchange, even if it has been removed
	Changed   <-chan struct{} // closed when the next exchange is recorded
}

// Since returns the exchanges after the given sequence number; 0 selects all.
func (j *Journal) Since(sequence uint64) Snapshot {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	snapshot := Snapshot{DroppedTo: j.latest, Last: j.last, Changed: j.changed}
	before := j.last - uint64(j.count) // the newest sequence number that is no longer recorded
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
