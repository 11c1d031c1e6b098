// Package peers asks the replicas that share a world for the state that each of them keeps to itself, such as
// its journal.
//
// It owns the requests between replicas, and their limits: all answers to a question together cost a bounded
// time and size, for any number of replicas and any answers. It does not know which replicas exist, which
// package replica does. It does not choose the questions or read the answers, which package control does.
package peers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Replica is an emulator of a shared world.
type Replica struct {
	Name string `json:"name"`
	URL  string `json:"url,omitempty"` // at which the other replicas ask it; empty: they cannot
}

// Unanswered is a replica without an answer.
type Unanswered struct {
	Replica

	Reason string `json:"reason"`
}

// Question is a request to the control planes of replicas.
type Question struct {
	Method, Path string
	Query        url.Values
}

// Marker is the header field of a request from another replica, with the name of that replica.
const Marker = "X-Emulator-Replica"

// seenMarker is the header field with the version of the newest change that the asking replica has seen. The other
// replica answers after it has seen this change too.
const seenMarker = "X-Emulator-Seen"

// Limits of the requests to other replicas.
const (
	patience = time.Second // the usual time from a question until the last byte of the last answer
	MaxBytes = 8 << 20     // of an answer; a full journal has about 2 MiB
	MaxTotal = 16 << 20    // of the answers to a question
	maxAll   = 32 << 20    // of the answers to all questions that are open
	atOnce   = 256         // requests that are open
)

// Config configures a Group. Own and List are required, and so are Seen and CatchUp outside of tests.
type Config struct {
	Own      string           // the name of this replica
	List     func() []Replica // returns the replicas that are known, this one too if it has a URL
	Patience time.Duration    // from a question until the last byte of the last answer; zero means the usual time

	Seen    func() int64                                   // returns the version of the newest change that this replica has seen
	CatchUp func(ctx context.Context, version int64) error // returns when this replica has seen a change

	Transport http.RoundTripper // nil: connections to the URLs, without a proxy
}

// Group is all replicas, from the view of one of them. Nil stands for a single emulator.
type Group struct {
	config Config
	places chan struct{} // one for each open request
	bytes  room          // for the answers to all questions that are open
}

// New returns a group.
func New(config Config) *Group {
	const headers = 16 << 10
	config.Patience = cmp.Or(config.Patience, patience)
	if config.Transport == nil {
		config.Transport = &http.Transport{Proxy: nil, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: headers}
	}
	return &Group{config: config, places: make(chan struct{}, atOnce), bytes: room{free: maxAll}}
}

// Own returns the name of this replica. It is empty if the emulator is alone.
func (g *Group) Own() string {
	if g == nil {
		return ""
	}
	return g.config.Own
}

// All returns all replicas. It returns nothing if the emulator is alone.
func (g *Group) All() []Replica {
	if g == nil {
		return nil
	}
	all := g.config.List()
	if !slices.ContainsFunc(all, func(one Replica) bool { return one.Name == g.config.Own }) {
		all = append(all, Replica{Name: g.config.Own})
	}
	return all
}

// Ask asks replicas a question, all at once. It passes each answer to take when it comes, one at a time. If a
// replica has not answered, or if take has refused its answer, the result lists the replica, in the order of the
// replicas.
func (g *Group) Ask(ctx context.Context, asked Question, of []Replica, take func(of Replica, answer []byte) error) []Unanswered {
	if len(of) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, g.config.Patience, fmt.Errorf("it has not answered within %v", g.config.Patience))
	defer cancel()
	answers := room{free: MaxTotal}
	defer func() { g.bytes.give(MaxTotal - answers.free) }()
	reasons := make([]error, len(of))
	var asking sync.WaitGroup
	var taking sync.Mutex
	for i, one := range of {
		if reasons[i] = g.enter(ctx); reasons[i] != nil {
			continue
		}
		asking.Go(func() {
			body, err := g.read(ctx, asked, one, &answers)
			<-g.places
			if err != nil {
				reasons[i] = err
				return
			}
			taking.Lock()
			defer taking.Unlock()
			if reasons[i] = take(one, body); reasons[i] != nil {
				g.release(int64(len(body)), &answers)
			}
		})
	}
	asking.Wait()
	var silent []Unanswered
	for i, one := range of {
		if reasons[i] != nil {
			silent = append(silent, Unanswered{one, reasons[i].Error()})
		}
	}
	return silent
}

// CatchUp acts on requests from another replica. It waits until this replica has seen every change that the other
// replica had seen when it asked. CatchUp also returns when the other replica no longer waits for the answer.
func (g *Group) CatchUp(r *http.Request) {
	version, err := strconv.ParseInt(r.Header.Get(seenMarker), 10, 64)
	if g == nil || g.config.CatchUp == nil || err != nil || r.Header.Get(Marker) == "" {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.config.Patience)
	defer cancel()
	_ = g.config.CatchUp(ctx, version) // nobody waits for the answer any more
}

// enter takes a place for a request.
func (g *Group) enter(ctx context.Context) error {
	select {
	case g.places <- struct{}{}:
		if ctx.Err() == nil {
			return nil
		}
		<-g.places
	case <-ctx.Done():
	}
	return fmt.Errorf("it was not asked: %d other requests to replicas have not been answered within %v", atOnce, g.config.Patience)
}

// read returns an answer.
func (g *Group) read(ctx context.Context, asked Question, of Replica, answers *room) ([]byte, error) {
	request, err := g.request(ctx, asked, of)
	if err != nil {
		return nil, err
	}
	response, err := g.config.Transport.RoundTrip(request)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("it cannot be reached: %w", unwrapped(err))
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered with status %d", response.StatusCode)
	}
	taken, err := g.admit(response.ContentLength, answers)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBytes+1))
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil:
		err = fmt.Errorf("its answer broke off: %w", err)
	case len(body) > MaxBytes:
		err = errTooLarge()
	}
	if err != nil {
		body = nil
	}
	g.release(taken-int64(len(body)), answers)
	return body, err
}

// request returns a request to a replica. It names the local host, because every control plane answers for
// this name at any address.
func (g *Group) request(ctx context.Context, asked Question, of Replica) (*http.Request, error) {
	if of.URL == "" {
		return nil, errors.New("it has no URL: start it with --advertise")
	}
	at, err := Base(of.URL)
	if err != nil {
		return nil, fmt.Errorf("its URL cannot be used: %w", err)
	}
	at.Path, at.RawQuery = asked.Path, asked.Query.Encode()
	headers := http.Header{Marker: {g.config.Own}}
	if g.config.Seen != nil {
		headers.Set(seenMarker, strconv.FormatInt(g.config.Seen(), 10))
	}
	return (&http.Request{Method: asked.Method, URL: at, Host: "localhost", Header: headers}).WithContext(ctx), nil
}

// admit takes room for an answer before it is read. If the length of an answer is unknown, admit takes the room of
// the longest possible answer.
func (g *Group) admit(length int64, answers *room) (taken int64, err error) {
	if length < 0 {
		length = MaxBytes
	}
	switch {
	case length > MaxBytes:
		return 0, errTooLarge()
	case !answers.take(length):
		return 0, fmt.Errorf("the answers of all replicas are larger than %d MiB together: ask for fewer requests, or ask this replica alone", MaxTotal>>20)
	case !g.bytes.take(length):
		answers.give(length)
		return 0, fmt.Errorf("the answers to several questions are larger than %d MiB together: ask again later", maxAll>>20)
	}
	return length, nil
}

// release gives room back.
func (g *Group) release(bytes int64, answers *room) {
	answers.give(bytes)
	g.bytes.give(bytes)
}

func errTooLarge() error { return fmt.Errorf("its answer is larger than %d MiB", MaxBytes>>20) }

// Check returns an error if an answer does not name the asked replica.
func (r Replica) Check(named string) error {
	switch named {
	case r.Name:
		return nil
	case "":
		return ErrForeign
	}
	return fmt.Errorf("another replica answers at its URL, %q: give each replica a URL of its own with --advertise", named)
}

// ErrForeign is the error about an answer that no replica of this version sends.
var ErrForeign = errors.New("its answer is not one of a replica of this version: run the same version of the emulator in every replica")

// room is a number of bytes that are free.
type room struct {
	mu   sync.Mutex
	free int64
}

// take reports whether it has taken some bytes.
func (r *room) take(bytes int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes > r.free {
		return false
	}
	r.free -= bytes
	return true
}

func (r *room) give(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += bytes
}

// unwrapped returns an error without the method and the URL of the request.
func unwrapped(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err
	}
	return err
}
