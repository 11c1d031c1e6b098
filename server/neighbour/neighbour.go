// Package neighbour checks requests to emulators of other Google APIs. Such an emulator, a
// neighbour, accepts any credential. This package lets a request through only if its credential has
// the scope that the API needs and, in a strict emulator, if the caller has the permission.
//
// It owns the tables of the methods, permissions and scopes of these APIs. Package guard reads and
// checks credentials, package door forwards the requests, and package server connects them.
package neighbour

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Config holds the dependencies of neighbours. Every field is required.
type Config struct {
	Worlds *store.Store[*world.World]
	Keys   *keys.Ring
	Guard  *guard.Guard // demands valid credentials with a sufficient scope
	Clock  *clock.Clock
	Logger *slog.Logger

	// Screen refuses credentials that Google may have issued.
	Screen func(wire.Handler) wire.Handler
	// Forward sends a request to a neighbour. It calls one of the functions of the Passing.
	Forward func(http.ResponseWriter, *http.Request, Passing)
	// Explain puts a reason into the header of an answer, if the user wants that.
	Explain func(header http.Header, sentence, hint string)
	// Observe is called once for each request, when its answer is known and before it is sent.
	Observe func(*http.Request, Passage)
}

// Passing is a request on its way to a neighbour.
type Passing struct {
	Neighbour *world.Neighbour
	// Answered notes an answer of the neighbour. Bytes is -1 if the length of the body is not known.
	Answered func(status int, bytes int64)
	// Failed answers the client in place of the neighbour. The status is 0 if the client has gone.
	Failed func(w http.ResponseWriter, r *http.Request, status int, why string)
}

// Passage describes a request to a neighbour and its outcome.
type Passage struct {
	Host    string // of the neighbour's API
	Verdict Verdict
	Status  int    // 0 if the client left before there was an answer
	Bytes   int64  // of the answer's body; -1 if the length is not known beforehand
	Failure string // why the neighbour has not answered; empty if it has

	Time, Begun time.Time // of the request, by the emulator's clock and by the machine's
}

// Neighbours are the neighbours of an emulator.
type Neighbours struct{ config Config }

// New returns the neighbours of an emulator.
func New(config Config) *Neighbours { return &Neighbours{config} }

// At finds the neighbour to which the Host of a request leads.
func (n *Neighbours) At(r *http.Request) (*world.Neighbour, bool) {
	current := n.config.Worlds.Load().State
	if len(current.Neighbours) == 0 {
		return nil, false
	}
	host := hostname.Canonical(hostname.Of(r.Host), current.UniverseDomain)
	if found, ok := current.Neighbour(host); ok {
		return found, true
	}
	if found, ok := current.Neighbour(hostname.MainOf(host)); ok {
		return found, true
	}
	_, domain, _ := strings.Cut(host, ".")
	found, ok := current.Neighbour(domain)
	if !ok || found.Host != storage {
		return nil, false
	}
	return found, true
}

// storage is the API with buckets at the beginning of its host names.
const storage = "storage.googleapis.com"

// bucketOf returns the bucket in a Host, as in BUCKET.storage.googleapis.com.
func bucketOf(to *world.Neighbour, hostport string) (bucket string, ok bool) {
	host := hostname.Of(hostport)
	if to.Host != storage || hostname.MainOf(host) == storage {
		return "", false
	}
	return strings.CutSuffix(host, "."+storage)
}

// To returns the handler for the neighbour of an API.
func (n *Neighbours) To(host string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.serve(w, r, host) })
}

func (n *Neighbours) serve(w http.ResponseWriter, r *http.Request, host string) {
	p := Passage{Host: host, Bytes: -1}
	p.Time, p.Begun = n.config.Clock.Both()
	to, exists := n.config.Worlds.Load().State.Neighbour(host)
	if !exists {
		p.Verdict = Verdict{
			err:     googleapi.NotFound("Requested entity was not found."),
			Refusal: journal.Refusal{Code: reason.NoService, Reason: "there is no neighbour " + strconv.Quote(host), Hint: "add it to the fixture's neighbours"},
		}
		n.refuse(w, r, p)
		return
	}
	if r.Method == http.MethodConnect {
		p.Verdict = Verdict{err: &wire.StatusError{Status: http.StatusMethodNotAllowed}, Refusal: journal.Refusal{
			Code: reason.NoTunnel, Reason: fmt.Sprintf("neighbour %q was asked for a tunnel, with the method CONNECT", host),
		}}
		n.refuse(w, r, p)
		return
	}
	if p.Verdict = n.decide(r, to); p.Verdict.err != nil {
		n.refuse(w, r, p)
		return
	}
	n.config.Forward(w, r, Passing{
		Neighbour: to,
		Answered: func(status int, bytes int64) {
			p.Status, p.Bytes = status, bytes
			n.config.Observe(r, p)
		},
		Failed: func(w http.ResponseWriter, r *http.Request, status int, why string) {
			p.Status, p.Failure, p.Bytes = status, why, 0
			if status == 0 {
				n.config.Observe(r, p)
				return
			}
			n.config.Explain(w.Header(), why, "")
			n.answer(w, r, p, &wire.StatusError{Status: status})
		},
	})
}

// refuse answers with a refusal.
func (n *Neighbours) refuse(w http.ResponseWriter, r *http.Request, p Passage) {
	refusal := p.Verdict.Refusal
	n.config.Explain(w.Header(), refusal.Reason, refusal.Hint)
	n.answer(w, r, p, p.Verdict.err)
}

// answer writes an error as Google's API does, and observes it.
func (n *Neighbours) answer(w http.ResponseWriter, r *http.Request, p Passage, err error) {
	dialect := googleapi.Dialect()
	response := dialect.Answer(n.config.Logger, func(*http.Request) (wire.Response, error) { return wire.Response{}, err })(r)
	p.Status, p.Bytes = response.Status, int64(len(response.Body))
	isCall := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	if isCall {
		p.Bytes = 0
	}
	n.config.Observe(r, p)
	if !n.config.Clock.FollowsMachine() {
		w.Header().Set("Date", p.Time.UTC().Format(http.TimeFormat))
	}
	if isCall {
		refuseCall(w, response.Status, err)
		return
	}
	dialect.Serve(func(*http.Request) wire.Response { return response }).ServeHTTP(w, r)
}

// refuseCall answers a call in gRPC with a status alone
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
func refuseCall(w http.ResponseWriter, status int, err error) {
	const permissionDenied, unavailable, unauthenticated, notFound = "7", "14", "16", "5" // of google.rpc.Code
	code := map[int]string{
		http.StatusUnauthorized: unauthenticated, http.StatusForbidden: permissionDenied, http.StatusNotFound: notFound,
	}[status]
	if code == "" {
		code = unavailable
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", code)
	w.Header().Set("Grpc-Message", url.PathEscape(messageOf(err)))
	w.WriteHeader(http.StatusOK)
}

// messageOf returns the message of an error of a Google API, without its status.
func messageOf(err error) string {
	if known, ok := errors.AsType[*googleapi.Error](err); ok {
		return known.Message
	}
	return err.Error()
}
