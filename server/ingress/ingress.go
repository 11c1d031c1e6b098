// Package ingress decides who may call a service, as the front end of Cloud Run does
// (https://cloud.google.com/run/docs/authenticating/overview).
//
// It is pure: [Decide] takes the facts of a request and the world at a moment, and returns a
// [Verdict]: the caller and what the service gets to see of the credential, or Google's refusal
// with the [Reason] for it. The package reads tokens by package token, and asks policies by package
// world. It neither serves nor forwards anything: package door does.
package ingress

import (
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

// Request is what the decision depends on in a request.
type Request struct {
	Path          string   // as it was sent, without the query
	Authorization []string // the values of the header Authorization
	Serverless    []string // those of X-Serverless-Authorization
	IsInternal    bool     // a workload of the project has sent it
}

// Door is the place at which a request arrives, at one moment.
type Door struct {
	World     *world.World
	Service   *world.Service // of that world
	Addresses []string       // the base URLs at which the door itself is reached, besides the service's URLs
	Now       time.Time

	// Read reads a token. It returns the same for the same text, world and time.
	Read func(text string) Credential
}

// Verdict is the decision about a request.
type Verdict struct {
	Caller  iam.Principal // whose token it is; the zero value if nobody was asked for one
	Refusal *Refusal      // nil: the request is let in

	// Header is what the service gets in place of credentials that it may not replay.
	Header []Field
}

// Field is one header field.
type Field struct{ Name, Value string }

// The header fields that carry credentials.
const (
	Authorization = "Authorization"
	// Serverless wins over Authorization, and leaves that to the service
	// (https://cloud.google.com/run/docs/authenticating/service-to-service).
	Serverless = "X-Serverless-Authorization"
)

// Decide decides about a request.
func Decide(r Request, at Door) Verdict {
	if isReserved(r.Path) {
		return refuse(reserved(r.Path))
	}
	if at.Service.Internal && !r.IsInternal {
		return refuse(external(r.Path, at.Service))
	}
	if !at.demandsToken() {
		return Verdict{Header: at.untouched(r)}
	}
	if !at.checksInvoker() {
		return refuse(notPlayed(r.Path, at.Service))
	}
	return at.authenticate(r)
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
	if !d.mayInvoke(credential.Principal) {
		return refuse(d.lacksRole(r, credential.Principal))
	}
	return Verdict{Caller: credential.Principal, Header: d.passedOn(presented, credential)}
}

func refuse(refusal *Refusal) Verdict { return Verdict{Refusal: refusal, Caller: refusal.caller} }
