// Package ingress decides who may call a service, as the front end of Cloud Run does
// (https://cloud.google.com/run/docs/authenticating/overview).
//
// It is pure: [Decide] takes the facts of a request and the world at a moment, and returns a
// [Verdict]: the caller and the credential for the service, or Google's refusal with its [Reason].
// The package reads tokens by package token, and asks policies by package world. It does not serve
// or forward anything: package door does. Package iap decides about services behind Identity-Aware
// Proxy.
package ingress

import (
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

// Request holds the parts of a request that the decision depends on.
type Request struct {
	Path          string   // as it was sent, without the query
	Authorization []string // the values of the header Authorization
	Serverless    []string // those of X-Serverless-Authorization
	IsInternal    bool     // a workload of the project has sent it; only counts for internal traffic
}

// Door is the door at which a request arrives, with the world at that moment.
type Door struct {
	World     *world.World
	Service   *world.Service // of that world
	Addresses []string       // the base URLs at which the door itself is reached, besides the service's URLs
	Now       time.Time

	// Read verifies a token. The result depends only on the text, the world and the time.
	Read func(text string) Credential
}

// Verdict is the decision about a request.
type Verdict struct {
	Caller  iam.Principal // the principal of the token; the zero value if the door demands no token
	Refusal *Refusal      // nil: the request is let in

	// Header replaces the credentials of the request if the service must not see their signatures.
	Header []Field
}

// Field is one header field.
type Field struct{ Name, Value string }

// The header fields that carry credentials.
const (
	Authorization = "Authorization"
	// Serverless takes precedence. Authorization then belongs to the service
	// (https://cloud.google.com/run/docs/authenticating/service-to-service).
	Serverless = "X-Serverless-Authorization"
)

// Decide decides whether a request may reach the service.
func Decide(r Request, at Door) Verdict {
	if closed := at.Closed(r); closed != nil {
		return refuse(closed)
	}
	if !at.demandsToken() {
		return Verdict{Header: at.Untouched(r)}
	}
	return at.authenticate(r)
}

// Closed returns the refusal of a request that does not reach the service with any credential, or nil.
func (d Door) Closed(r Request) *Refusal {
	switch {
	case isReserved(r.Path):
		return reserved(r.Path)
	case d.Service.Internal && !r.IsInternal:
		return external(r.Path, d.Service)
	}
	return nil
}

// CheckInvoker returns the refusal of a principal that may not invoke the service, or nil.
func (d Door) CheckInvoker(r Request, who iam.Principal) *Refusal {
	if d.mayInvoke(who) {
		return nil
	}
	return d.lacksRole(r, who)
}

// authenticate decides about a request that needs an ID token.
func (d Door) authenticate(r Request) Verdict {
	presented, problem := present(r)
	if problem != nil {
		return refuse(d.refusal(r, *problem))
	}
	credential := d.Read(presented.token)
	if problem := d.check(credential); problem != nil {
		return refuse(d.refusal(r, *problem))
	}
	if refusal := d.CheckInvoker(r, credential.Principal); refusal != nil {
		return refuse(refusal)
	}
	return Verdict{Caller: credential.Principal, Header: d.passedOn(presented, credential)}
}

func refuse(refusal *Refusal) Verdict { return Verdict{Refusal: refusal, Caller: refusal.caller} }
