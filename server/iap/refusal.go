package iap

import (
	"cmp"
	"fmt"
	"strings"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/reason"
)

// problem describes a missing or invalid credential.
type problem struct {
	code   reason.Code
	who    iam.Principal
	detail string
}

// The statuses of refusals.
const (
	found        = 302
	badRequest   = 400
	unauthorized = 401
	forbidden    = 403
	notFound     = 404
)

// coded begins the texts of refusals that have a number.
const coded = "There was a problem with your request. Please reference https://cloud.google.com/iap/docs/faq#error_codes. Error code "

// Unfinished returns the refusal of a browser that comes back without having signed in.
func Unfinished(why string) *ingress.Refusal {
	refusal := page(badRequest, coded+"9")
	refusal.Reason = ingress.Reason{Code: reason.NotSignedIn, Sentence: why, Hint: "go to the service's page again, in the same browser"}
	return refusal
}

// NoIdentity returns the refusal if an unknown caller asks for its identity.
func NoIdentity() *ingress.Refusal {
	refusal := page(unauthorized, "IDENTITY mode is only available to authenticated users.")
	refusal.Reason = ingress.Reason{Code: reason.NotSignedIn, Sentence: "the request for the caller's identity has no valid credential", Hint: "sign in first"}
	return refusal
}

// NoClick returns the refusal to sign a person out because a web page of another site says so.
func NoClick() *ingress.Refusal {
	refusal := page(forbidden, "Forbidden")
	refusal.Reason = ingress.Reason{Code: reason.ForeignOrigin, Sentence: "a web page of another site wants to sign somebody out", Hint: "let the person click a link"}
	return refusal
}

// NoPath returns the refusal of a path that belongs to the proxy and does nothing.
func NoPath(path string) *ingress.Refusal {
	refusal := page(notFound, "Not Found")
	refusal.Reason = ingress.Reason{
		Code: reason.ReservedPath, Hint: "choose a path that does not begin with /_gcp_iap/",
		Sentence: fmt.Sprintf("Identity-Aware Proxy keeps the path %q for itself", path),
	}
	return refusal
}

const invalidCredentials = "Invalid IAP credentials: "

// texts returns Google's texts about problems that are not about the signature.
func texts() map[reason.Code]string {
	return map[reason.Code]string{ //nolint:exhaustive // the others have the text about the signature
		reason.NoCredential:   invalidCredentials + "empty token",
		reason.MalformedToken: invalidCredentials + "Unable to parse JWT",
		reason.ExpiredToken:   invalidCredentials + "Expired JWT",
		reason.WrongAudience:  invalidCredentials + "Invalid bearer token. Invalid JWT audience.",
		reason.NoEmail:        invalidCredentials + "JWT 'email' claim isn't a string",
		reason.WrongTarget:    invalidCredentials + "Audience specified does not match requested endpoint",
		reason.AccessToken:    coded + "900",
	}
}

// text returns Google's text about a problem.
func (p problem) text() string {
	return cmp.Or(texts()[p.code], invalidCredentials+"JWT signature is invalid")
}

// page returns an answer of the proxy itself. Its texts are not HTML, although their type is.
func page(status int, text string) *ingress.Refusal {
	return &ingress.Refusal{
		Status: status, Header: []ingress.Field{{Name: "X-Goog-Iap-Generated-Response", Value: "true"}},
		Body: text, ContentType: "text/html",
	}
}

// refusal returns the refusal for a problem with a credential. A browser without a credential is sent
// to the sign-in page.
func (g gate) refusal(p problem) *ingress.Refusal {
	status := unauthorized
	if p.code == reason.NoCredential && g.request.FollowsRedirects {
		status = found
	}
	refusal := page(status, p.text())
	sentence, hint := g.explain(p)
	refusal.Reason = ingress.Reason{Code: p.code, Sentence: sentence, Hint: hint, Caller: p.who.Member()}
	return refusal
}

// explain returns a sentence about a problem, and a hint.
func (g gate) explain(p problem) (sentence, hint string) {
	name := g.Service.Name
	ask := fmt.Sprintf("send a JWT that a service account signs: gcp-metadata-emulator token jwt --account EMAIL --audience '%s/*'", g.base())
	switch p.code { //nolint:exhaustive // every other problem has a detail
	case reason.NoCredential:
		return fmt.Sprintf("the request to service %q has no credential for Identity-Aware Proxy", name), "sign in with a browser, or " + ask
	case reason.MalformedToken:
		return "the bearer token is not a JSON Web Token", ask
	case reason.AccessToken:
		if p.who.Member() == "" {
			return p.detail, ask
		}
		return fmt.Sprintf("this is an access token of %q, and Identity-Aware Proxy takes access tokens of service accounts only", p.who.Member()), ask
	case reason.RealGoogle:
		return "the token was signed by real Google, whose keys this emulator does not have", "get the token from the emulator: gcp-metadata-emulator env shows the variables"
	case reason.WrongAudience:
		return fmt.Sprintf("the ID token is for %q, and the service's customAudiences do not have this OAuth client", p.detail),
			ask + ", or add the OAuth client to the service's customAudiences"
	case reason.NoEmail:
		return "the ID token has no claim email, which Identity-Aware Proxy needs", "ask for the token with its e-mail address: includeEmail, or format=full on the metadata server"
	case reason.WrongTarget:
		return fmt.Sprintf("the JWT is for %q, and the request is for %q", p.detail, g.base()+g.request.Path), fmt.Sprintf("sign the JWT for %q", g.base()+"/*")
	default:
		return p.detail, ask
	}
}

// base returns the base URL of the service for people to use.
func (g gate) base() string {
	if len(g.Addresses) > 0 {
		return g.Addresses[0]
	}
	if len(g.Service.URLs) > 0 {
		return g.Service.URLs[0]
	}
	return "https://HOST"
}

// lacksRole returns the refusal of a caller that may not access the service.
func (g gate) lacksRole(who iam.Principal) *ingress.Refusal {
	const role = "roles/iap.httpsResourceAccessor"
	refusal := page(forbidden, "Access denied. For user "+who.Email)
	refusal.Reason = ingress.Reason{
		Code: reason.MissingRole, Caller: who.Member(),
		Missing:  &ingress.Missing{Permission: iam.AccessViaIAP, Resource: strings.TrimPrefix(g.Service.Path(g.World.Project), "/"), Roles: []string{role}},
		Sentence: fmt.Sprintf("%q may not access service %q: it lacks %s", who.Member(), g.Service.Name, iam.AccessViaIAP),
		Hint: fmt.Sprintf("gcloud iap web add-iam-policy-binding --resource-type=cloud-run --service=%s --region=%s --member=%s --role=%s",
			g.Service.Name, g.Service.Region, who.Member(), role),
	}
	return refusal
}

// shutOut completes Cloud Run's refusal of the proxy's own service agent.
func (g gate) shutOut(refusal *ingress.Refusal) *ingress.Refusal {
	refusal.Reason.Sentence = "Identity-Aware Proxy let the caller in, but Cloud Run refuses its service agent: " + refusal.Reason.Sentence
	return refusal
}
