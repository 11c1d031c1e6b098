package iap

import (
	"fmt"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/signer"
)

// caller returns the principal of a request. If Proxy-Authorization has a valid token, Authorization
// belongs to the service (https://cloud.google.com/iap/docs/authentication-howto).
func (g gate) caller() (iam.Principal, *problem) {
	var refused *problem
	if text, ok := bearer(g.request.Proxy); ok {
		who, problem := g.authenticate(text)
		if problem == nil {
			return who, nil
		}
		refused = problem
	}
	if text, ok := bearer(g.request.Authorization); ok {
		return g.authenticate(text)
	}
	if user, ok := g.World.User(g.request.Session); ok {
		return user.Principal(), nil
	}
	if refused != nil {
		return refused.who, refused
	}
	return iam.Principal{}, &problem{code: reason.NoCredential}
}

// bearer returns the token in the values of a header. Several tokens make a text that is not a token.
func bearer(values []string) (string, bool) {
	scheme, text, _ := strings.Cut(strings.TrimSpace(strings.Join(values, ",")), " ")
	return strings.TrimSpace(text), strings.EqualFold(scheme, "Bearer")
}

// authenticate returns the principal of a token. If the token is valid but not for this proxy, the
// principal comes with the problem.
func (g gate) authenticate(text string) (iam.Principal, *problem) {
	credential := g.Read(text)
	who := credential.Principal
	if credential.Kind == token.KindAccess {
		if credential.Refused == "" && who.Kind == iam.KindServiceAccount {
			return who, nil
		}
		return who, &problem{code: reason.AccessToken, who: who, detail: credential.Refused}
	}
	parsed, err := signer.Parse(text)
	switch {
	case err != nil:
		return who, &problem{code: reason.MalformedToken}
	case credential.Refused != "":
		return who, &problem{code: g.invalid(parsed, credential), detail: credential.Refused}
	case credential.Kind == token.KindID:
		return who, g.checkID(parsed, who)
	case credential.Kind == token.KindJWT:
		return who, g.checkSelfSigned(parsed, who)
	}
	return who, &problem{code: reason.NotIDToken, who: who, detail: fmt.Sprintf("this is a token of kind %q", credential.Kind)}
}

// invalid returns the code for an invalid JWT.
func (g gate) invalid(parsed *signer.Parsed, credential ingress.Credential) reason.Code {
	expires, ends := parsed.Time("exp")
	switch {
	case credential.UnknownKey && strings.TrimPrefix(credential.Issuer, "https://") == "accounts.google.com":
		return reason.RealGoogle
	case ends && !credential.UnknownKey && !g.Now.Before(expires):
		return reason.ExpiredToken
	default:
		return reason.InvalidToken
	}
}

// checkID returns the problem with a valid ID token, or nil.
func (g gate) checkID(parsed *signer.Parsed, who iam.Principal) *problem {
	audiences := parsed.Audiences()
	if !slices.ContainsFunc(audiences, g.isClient) {
		return &problem{code: reason.WrongAudience, who: who, detail: strings.Join(audiences, ", ")}
	}
	if email, _ := parsed.Claims["email"].(string); email == "" {
		return &problem{code: reason.NoEmail, who: who}
	}
	return nil
}

// isClient reports whether an audience is an OAuth client with ID tokens that the proxy accepts: a
// custom audience of the service. Google's own client has no ID tokens.
func (g gate) isClient(audience string) bool {
	return slices.Contains(g.Service.Audiences, audience) && !isBackend(audience)
}

// checkSelfSigned returns the problem with a JWT that a service account has signed, or nil
// (https://cloud.google.com/iap/docs/authentication-howto#authenticating_with_a_self-signed_jwt).
func (g gate) checkSelfSigned(parsed *signer.Parsed, who iam.Principal) *problem {
	issued, begins := parsed.Time("iat")
	expires, ends := parsed.Time("exp")
	switch audience, _ := parsed.Claims["aud"].(string); {
	case parsed.Claims["iss"] != who.Email || parsed.Claims["sub"] != who.Email:
		return &problem{code: reason.InvalidToken, who: who, detail: fmt.Sprintf("the issuer and the subject of the JWT are not both %q", who.Email)}
	case !begins || !ends || !token.IsShortLived(issued, expires, g.Now):
		return &problem{code: reason.InvalidToken, who: who, detail: "the JWT is valid for more than an hour, or does not say how long"}
	case !g.isTarget(audience):
		return &problem{code: reason.WrongTarget, who: who, detail: audience}
	}
	return nil
}

// isTarget reports whether an audience is the URL of the request, or BASE/* for one of the service's
// base URLs.
func (g gate) isTarget(audience string) bool {
	return slices.ContainsFunc(slices.Concat(g.Service.URLs, g.Addresses), func(base string) bool {
		path, ok := strings.CutPrefix(audience, base)
		return ok && path != "" && (path == "/*" || path == g.request.Path)
	})
}
