package ingress

import (
	"fmt"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// Reason explains the refusal of a request. It is for the people who run the emulator: clients get
// Google's page.
type Reason struct {
	Code     reason.Code `json:"code"`
	Sentence string      `json:"sentence"`
	Hint     string      `json:"hint,omitempty"`
	Caller   string      `json:"caller,omitempty"` // as policies name it; empty if the principal is not known
	Missing  *Missing    `json:"missing,omitempty"`
}

// Missing is the permission that a caller lacks.
type Missing struct {
	Permission string   `json:"permission"`
	Resource   string   `json:"resource"`
	Roles      []string `json:"roles"` // of which each would do, the smallest first
}

// problem describes a missing or invalid credential.
type problem struct {
	code       reason.Code
	detail     string
	credential Credential
}

// refusal returns the refusal for a problem with a credential. If there is no credential, the
// status is 403; otherwise it is 401.
func (d Door) refusal(r Request, p problem) *Refusal {
	refusal := unauthorizedPage(r.Path)
	if p.code == reason.NoCredential {
		refusal = forbiddenPage(r.Path)
	}
	sentence, hint := d.explain(p)
	refusal.caller = p.credential.Principal
	refusal.Reason = Reason{Code: p.code, Sentence: sentence, Hint: hint, Caller: refusal.caller.Member()}
	return refusal
}

// explain returns a sentence about a problem, and a hint.
func (d Door) explain(p problem) (sentence, hint string) {
	name, ask := d.Service.Name, "send an ID token: gcp-metadata-emulator token id --audience "+d.expected()
	switch p.code { //nolint:exhaustive // every other problem has a sentence
	case reason.NoCredential:
		return fmt.Sprintf("the request to service %q has no credential", name), ask + ", in the header Authorization: Bearer TOKEN"
	case reason.SeveralCredentials:
		return fmt.Sprintf("the request to service %q has several credentials in %s", name, p.detail), "send one token in one header field"
	case reason.NotBearer:
		return fmt.Sprintf("the header %s of the request to service %q is not of the form Bearer TOKEN", p.detail, name), ask
	case reason.AccessToken:
		return fmt.Sprintf("this is an access token, and service %q takes ID tokens only", name), ask
	case reason.NotIDToken:
		return fmt.Sprintf("this is %s of %q, and service %q takes ID tokens only", kindInWords(p.credential.Kind), p.credential.Principal.Member(), name), ask
	case reason.Firebase:
		return "this is an ID token of Firebase or Identity Platform, which Cloud Run does not know", "let the service verify it by itself, and let allUsers invoke the service; or " + ask
	case reason.RealGoogle:
		return "the token was signed by real Google, whose keys this emulator does not have", "get the token from the emulator: gcp-metadata-emulator env shows the variables"
	case reason.WrongAudience:
		return d.wrongAudience(p.credential.Audiences), d.audienceHint(p.credential.Audiences)
	default:
		return p.credential.Refused, ask
	}
}

func kindInWords(kind token.Kind) string {
	switch kind {
	case token.KindJWT:
		return "a self-signed JWT"
	case token.KindIAP:
		return "an assertion of Identity-Aware Proxy"
	case token.KindRefresh:
		return "a refresh token"
	case token.KindFirebaseCustom:
		return "a custom token of Firebase"
	case token.KindAccess, token.KindID, token.KindFirebase, token.KindFirebaseSession:
	}
	return fmt.Sprintf("a token of kind %q", kind)
}

func (d Door) wrongAudience(audiences []string) string {
	if len(audiences) == 0 {
		return fmt.Sprintf("the token has no audience, and service %q expects %q", d.Service.Name, d.expected())
	}
	return fmt.Sprintf("the token is for %q, and service %q expects %q", strings.Join(audiences, ", "), d.Service.Name, d.expected())
}

// lacksRole returns the refusal of a caller that may not invoke the service.
func (d Door) lacksRole(r Request, who iam.Principal) *Refusal {
	member, permissions := who.Member(), d.permissions()
	missing := &Missing{
		Permission: permissions[0],
		Resource:   strings.TrimPrefix(d.Service.Path(d.World.Project), "/"),
		Roles:      invokers(permissions),
	}
	refusal := forbiddenPage(r.Path)
	refusal.caller = who
	refusal.Reason = Reason{
		Code: reason.MissingRole, Caller: member, Missing: missing,
		Sentence: fmt.Sprintf("%q may not invoke service %q: it lacks %s", member, d.Service.Name, missing.Permission),
		Hint: fmt.Sprintf("gcloud run services add-iam-policy-binding %s --region=%s --member=%s --role=%s",
			d.Service.Name, d.Service.Region, member, missing.Roles[0]),
	}
	return refusal
}

// invokers returns the roles with one of the permissions, the smallest first.
func invokers(permissions []string) []string {
	var roles []string
	for _, role := range []string{"roles/run.invoker", "roles/cloudfunctions.invoker", "roles/run.servicesInvoker", "roles/run.admin", "roles/editor", "roles/owner"} {
		if slices.ContainsFunc(permissions, func(permission string) bool { return iam.Includes(role, permission) }) {
			roles = append(roles, role)
		}
	}
	return roles
}

// reserved returns the refusal of a path that Google keeps for itself.
func reserved(path string) *Refusal {
	refusal := &Refusal{Status: notFound}
	refusal.Reason = Reason{
		Code:     reason.ReservedPath,
		Sentence: fmt.Sprintf("Cloud Run keeps the path %q for itself, so that no request for it reaches a service", path),
		Hint:     "choose another path, such as /healthz/ or /readyz",
	}
	return refusal
}

// external returns the refusal of a request from outside the project.
func external(path string, service *world.Service) *Refusal {
	refusal := notFoundPage()
	refusal.Reason = Reason{
		Code:     reason.External,
		Sentence: fmt.Sprintf("service %q takes requests from workloads of the project only, and %q was asked for from elsewhere", service.Name, path),
		Hint:     "send it from a workload through the emulator's proxy, or write traffic: all in the service's ingress",
	}
	return refusal
}

// Gone returns the refusal of a request for a service that does not exist.
func Gone(service string) *Refusal {
	refusal := notFoundPage()
	refusal.Reason = Reason{
		Code:     reason.NoService,
		Sentence: fmt.Sprintf("there is no service %q", service),
		Hint:     "give the instance of that name an ingress",
	}
	return refusal
}

// Nowhere returns the refusal of a request for a host and a path that are not the URL of any service.
func Nowhere(host, path string) *Refusal {
	refusal := notFoundPage()
	refusal.Reason = Reason{
		Code:     reason.NoService,
		Sentence: fmt.Sprintf("no service has the URL %q", "https://"+host+path),
		Hint:     "GET /emulator/v1/instances lists the URLs of all services",
	}
	return refusal
}

// Tunnel returns the refusal of a request for a tunnel.
func Tunnel(service string) *Refusal {
	return &Refusal{Status: methodNotAllowed, Reason: Reason{
		Code:     reason.NoTunnel,
		Sentence: fmt.Sprintf("service %q was asked for a tunnel, with the method CONNECT", service),
		Hint:     "use the emulator's main address as the proxy",
	}}
}
