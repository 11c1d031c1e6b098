// Package peers asks the replicas that share a world for what each of them has for itself, such as its
// journal.
//
// It owns the requests between replicas, and the limits of them: a replica that hangs, that is dead, or that
// sends anything else than an emulator's answer costs the others no more than a bounded time and size. Package
// replica decides which replicas there are, and package control decides what to ask and what the answers mean.
package peers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Replica is one of the emulators that share a world.
type Replica struct {
	Name string `json:"name"`
	URL  string `json:"url,omitempty"` // at which the other replicas ask it; empty: they cannot
}

// Answer is a replica's answer.
type Answer struct {
	Replica

	Body   []byte // a JSON object that names the replica
	Reason string // why there is no answer; empty: there is one
}

// Limits of a request to another replica.
const (
	patience = time.Second // the usual one
	MaxBytes = 8 << 20     // of an answer; a full journal has about 2 MiB
	atOnce   = 64          // requests
)

// Config configures a Group. Own and List are required.
type Config struct {
	Own      string           // the name of this replica
	List     func() []Replica // returns the replicas that are known, this one too if it has a URL
	Patience time.Duration    // for which an answer is waited for; zero means the usual one

	Transport http.RoundTripper // nil: connections to the URLs, without a proxy
}

// Group is all replicas, as one of them sees them. Nil stands for an emulator that is alone.
type Group struct{ config Config }

// New returns a group.
func New(config Config) *Group {
	const headers = 16 << 10
	config.Patience = cmp.Or(config.Patience, patience)
	if config.Transport == nil {
		config.Transport = &http.Transport{Proxy: nil, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: headers}
	}
	return &Group{config}
}

// Own returns the name of this replica, or an empty one if the emulator is alone.
func (g *Group) Own() string {
	if g == nil {
		return ""
	}
	return g.config.Own
}

// All returns all replicas, and none if the emulator is alone.
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

// Ask asks replicas for a resource of their control planes, all at once. The answers have the order of the
// replicas.
func (g *Group) Ask(ctx context.Context, resource string, of []Replica) []Answer {
	answers := make([]Answer, len(of))
	places := make(chan struct{}, atOnce)
	var asking sync.WaitGroup
	for i, one := range of {
		places <- struct{}{}
		asking.Go(func() {
			answers[i] = g.ask(ctx, resource, one)
			<-places
		})
	}
	asking.Wait()
	return answers
}

func (g *Group) ask(ctx context.Context, resource string, of Replica) Answer {
	late := fmt.Errorf("it has not answered within %v", g.config.Patience)
	ctx, cancel := context.WithTimeoutCause(ctx, g.config.Patience, late)
	defer cancel()
	body, err := g.read(ctx, resource, of)
	switch {
	case err == nil:
		return Answer{Replica: of, Body: body}
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return Answer{Replica: of, Reason: err.Error()}
}

// read returns the body of an answer that is the replica's own. It names the local host, for which every
// control plane answers, whatever the address is. It follows no redirect.
func (g *Group) read(ctx context.Context, resource string, of Replica) ([]byte, error) {
	if of.URL == "" {
		return nil, errors.New("it has no URL: start it with --advertise")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, of.URL+resource, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("its URL cannot be used: %w", unwrapped(err))
	}
	request.Host = "localhost"
	response, err := g.config.Transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("it cannot be reached: %w", unwrapped(err))
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered with status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("its answer broke off: %w", err)
	case len(body) > MaxBytes:
		return nil, fmt.Errorf("its answer is larger than %d MiB", MaxBytes>>20)
	}
	return body, isOf(of, body)
}

// isOf returns an error if an answer does not name the replica that was asked.
func isOf(asked Replica, body []byte) error {
	var answer struct {
		Replica string `json:"replica"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Replica == "" {
		return errors.New("its answer is not one of a replica of this version")
	}
	if answer.Replica != asked.Name {
		return fmt.Errorf("another replica answers at its URL, %q: give each replica a URL of its own with --advertise", answer.Replica)
	}
	return nil
}

// unwrapped returns an error without the method and the URL of the request.
func unwrapped(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err
	}
	return err
}
