// Package purpose decides whether a token is good for a purpose: to call a service, a Google API or a
// service behind Identity-Aware Proxy, or as an ID token for a verifier with the published keys. A
// token for one purpose is often refused for another.
//
// It makes no rules: it asks the package that decides about requests of each kind, and adds the
// likely cause of a refusal. It also finds tokens in pasted texts.
package purpose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// Config holds the parts of the emulator that decide.
type Config struct {
	Worlds *store.Store[*world.World]
	Issuer *token.Issuer
	Clock  *clock.Clock
	Guard  *guard.Guard

	APIs   func(*world.World) []guard.API                                   // that the emulator knows
	AtDoor func(ctx context.Context, service, token string) ingress.Verdict // decides at the door to a service
}

// Judge decides about tokens. It is safe for concurrent use.
type Judge struct{ Config }

// New returns a judge.
func New(config Config) *Judge { return &Judge{config} }

// Decision says whether a token is good for a purpose.
type Decision struct {
	For     string           `json:"for"` // the purpose, in the form that Decide takes
	Valid   bool             `json:"valid"`
	Reason  string           `json:"reason,omitempty"` // why the token is refused, in one sentence
	Hint    string           `json:"hint,omitempty"`   // what to change
	Cause   string           `json:"cause,omitempty"`  // the likely cause of the refusal, in one sentence
	Missing *journal.Missing `json:"missing,omitempty"`

	Warnings []string `json:"warnings,omitempty"`
	// Anybody reports that the token does not matter, because the receiver demands none.
	Anybody bool `json:"-"`
}

// The purposes. The first two are followed by the name of a service or the host name of an API.
const (
	run    = "run="
	api    = "api="
	Proxy  = "iap"  // a token for Identity-Aware Proxy, or an assertion that it makes
	OpenID = "oidc" // an ID token, for a verifier with the published keys
)

// UnknownError reports a purpose that does not exist.
type UnknownError struct {
	Message   string
	IsMissing bool // the purpose is well-formed, but names something that the fixture does not have
}

func (e *UnknownError) Error() string { return e.Message }

// Decide decides about a token. The audience is the audience that the token must have for the
// purposes OpenID and Proxy; an empty audience stands for any. The error is an *UnknownError, or says why the keys
// cannot be read.
func (j *Judge) Decide(ctx context.Context, purpose, text, audience string) (Decision, error) {
	return j.decide(ctx, purpose, question{text: text, audience: audience, world: j.Worlds.Load().State})
}

// Cause returns the likely cause why a token is not valid, in one sentence. If it finds no cause, it
// returns "".
func (j *Judge) Cause(ctx context.Context, text, audience string) (string, error) {
	return j.cause(ctx, question{text: text, audience: audience, world: j.Worlds.Load().State}, OpenID)
}

// question is a token and its purpose.
type question struct {
	text, audience string
	world          *world.World
}

func (j *Judge) decide(ctx context.Context, purpose string, q question) (Decision, error) {
	decided, err := j.ask(ctx, purpose, q)
	if err != nil {
		return Decision{}, err
	}
	decided.For = purpose
	decided.Valid = decided.Reason == ""
	if !decided.Valid {
		decided.Cause, err = j.cause(ctx, q, purpose)
	}
	return decided, err
}

// ask lets the right package decide.
func (j *Judge) ask(ctx context.Context, purpose string, q question) (Decision, error) {
	service, isRun := strings.CutPrefix(purpose, run)
	host, isAPI := strings.CutPrefix(purpose, api)
	switch {
	case isRun:
		if _, exists := q.world.Service(service); !exists {
			return Decision{}, &UnknownError{Message: fmt.Sprintf("there is no service %q", service), IsMissing: true}
		}
		return j.atDoor(ctx, service, q.text), nil
	case isAPI && host != "":
		return j.atAPI(ctx, host, q)
	case purpose == Proxy:
		return j.atProxy(ctx, q)
	case purpose == OpenID:
		return j.asOpenID(ctx, q)
	default:
		return Decision{}, &UnknownError{Message: fmt.Sprintf("there is no kind of receiver %q; write run=SERVICE, api=HOST, iap or oidc", purpose)}
	}
}

// Every decides about a token for every purpose that the fixture offers.
func (j *Judge) Every(ctx context.Context, text, audience string) ([]Decision, error) {
	q := question{text: text, audience: audience, world: j.Worlds.Load().State}
	var all []Decision
	for _, purpose := range j.purposes(q.world) {
		decided, err := j.decide(ctx, purpose, q)
		if err != nil {
			return nil, err
		}
		all = append(all, decided)
	}
	return all, nil
}

// purposes returns the purposes that a fixture offers.
func (j *Judge) purposes(w *world.World) []string {
	list := []string{OpenID, Proxy}
	for _, service := range w.Services() {
		list = append(list, run+service.Name)
	}
	var hosts []string
	for _, known := range j.APIs(w) {
		hosts = append(hosts, api+known.Host)
	}
	slices.Sort(hosts)
	return append(list, slices.Compact(hosts)...)
}
