// Package iap decides who may call a service behind Identity-Aware Proxy, and which facts about the
// caller the service gets (https://cloud.google.com/iap/docs/concepts-overview).
//
// [Decide] is pure, like the decision of package ingress: it takes the facts of a request and the world
// at a moment, and returns a [Verdict]. [Verdict.Fields] mints the assertion with which the proxy names
// the caller to the service. The package knows no HTTP: package door reads requests, keeps the sessions
// of browsers and forwards. Package oauth2 has the page on which people sign in.
package iap

import (
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/world"
)

// Request holds the parts of a request that the decision depends on.
type Request struct {
	ingress.Request

	Proxy   []string // the values of the header Proxy-Authorization
	Session string   // the unique ID of the user who has signed in with this browser; empty: nobody

	// FollowsRedirects reports whether the client may be sent to the sign-in page.
	FollowsRedirects bool
	// Test is the type of the faulty assertion that the client wants the service to get; see [Tests].
	Test string
}

// Verdict is the decision about a request.
type Verdict struct {
	ingress.Verdict

	SignsIn bool // the refusal is the beginning of a sign-in

	assertion *assertion // nil: the service is open to everybody, and nobody has signed in
	agent     bool       // the proxy calls Cloud Run as its service agent
}

// gate is the proxy at which a request arrives.
type gate struct {
	ingress.Door

	request Request
}

// Guards reports whether Identity-Aware Proxy guards a service.
func Guards(service *world.Service) bool {
	return service.Authentication == fixtures.AuthenticateIAP || isBeforeRun(service)
}

// isBeforeRun reports whether Cloud Run checks the proxy's own permission to invoke the service.
func isBeforeRun(service *world.Service) bool {
	return service.Authentication == fixtures.AuthenticateIAPAndInvoker
}

// Decide decides whether a request may reach the service.
func Decide(r Request, at ingress.Door) Verdict {
	if closed := at.Closed(r.Request); closed != nil {
		return refuse(closed, iam.Principal{})
	}
	g := gate{at, r}
	who, problem := g.caller()
	if problem != nil && (problem.code != reason.NoCredential || !g.mayAccess(iam.Principal{})) {
		verdict := refuse(g.refusal(*problem), who)
		verdict.SignsIn = problem.code == reason.NoCredential && r.FollowsRedirects
		return verdict
	}
	if !g.mayAccess(who) {
		return refuse(g.lacksRole(who), who)
	}
	verdict := Verdict{Verdict: ingress.Verdict{Caller: who}, agent: isBeforeRun(at.Service)}
	if verdict.agent {
		if refusal := at.CheckInvoker(r.Request, at.World.IAPAgent()); refusal != nil {
			return refuse(g.shutOut(refusal), who)
		}
	} else {
		verdict.Header = at.Untouched(r.Request)
	}
	if problem == nil {
		verdict.assertion = &assertion{who: who, audience: g.audience(), defect: defectOf(r.Test)}
	}
	return verdict
}

func refuse(refusal *ingress.Refusal, who iam.Principal) Verdict {
	return Verdict{Verdict: ingress.Verdict{Refusal: refusal, Caller: who}}
}

// mayAccess reports whether a principal may call the service. The zero value stands for everybody.
func (g gate) mayAccess(who iam.Principal) bool { return mayAccess(g.Door, who) }

func mayAccess(at ingress.Door, who iam.Principal) bool {
	return at.World.May(who, iam.AccessViaIAP, at.Service, at.Now)
}

// Admits reports whether the door lets a principal in, for any kind of check. The zero value stands for
// everybody.
func Admits(at ingress.Door, who iam.Principal) bool {
	switch {
	case !Guards(at.Service):
		return at.Admits(who)
	case isBeforeRun(at.Service) && !at.Admits(at.World.IAPAgent()):
		return false
	default:
		return mayAccess(at, who)
	}
}

// audience returns the audience of the service's assertions: the service, or the backend service of a
// load balancer if the service has its name as a custom audience.
func (g gate) audience() string {
	if at := slices.IndexFunc(g.Service.Audiences, isBackend); at >= 0 {
		return g.Service.Audiences[at]
	}
	return g.Service.Path(g.World.Project)
}

// isBackend reports whether an audience names a backend service: /projects/NUMBER/global/backendServices/ID
// or /projects/NUMBER/REGION/backendServices/ID (https://cloud.google.com/iap/docs/signed-headers-howto).
func isBackend(audience string) bool {
	parts := strings.Split(audience, "/")
	const names, kind, project = 6, 4, 1
	return len(parts) == names && parts[project] == "projects" && parts[kind] == "backendServices"
}
