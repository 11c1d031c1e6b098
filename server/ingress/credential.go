package ingress

import (
	"context"
	"errors"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Credential is the content of a token, valid or not.
type Credential struct {
	Kind      token.Kind // empty if the emulator has not issued the token
	Principal iam.Principal
	Audiences []string // of a JWT, also of an invalid one
	Issuer    string   // likewise
	Expires   time.Time
	Refused   string // why the token is invalid, in one sentence; empty if it is valid

	UnknownKey bool // it is invalid because the emulator has not published the key that it names
}

// Reader returns a function for Door.Read that verifies tokens with an issuer.
func Reader(ctx context.Context, issuer *token.Issuer, w *world.World) func(text string) Credential {
	return func(text string) Credential {
		verified, err := issuer.Verify(ctx, w, text, token.Demand{AnyAudience: true})
		if err != nil {
			return refused(text, err)
		}
		return Credential{
			Kind: verified.Kind, Principal: verified.Principal, Expires: verified.Expires,
			Audiences: audiences(verified.Claims), Issuer: textOf(verified.Claims["iss"]),
		}
	}
}

// refused returns the credential of an invalid token, with its unverified audiences and issuer.
func refused(text string, err error) Credential {
	credential := Credential{Refused: "the token cannot be checked: " + err.Error()}
	if refusal, ok := errors.AsType[*token.RefusedError](err); ok {
		credential.Refused, credential.UnknownKey = refusal.Reason, refusal.UnknownKey
	}
	if token.IsAccess(text) {
		credential.Kind = token.KindAccess
	}
	if parsed, err := signer.Parse(text); err == nil {
		credential.Audiences, credential.Issuer = parsed.Audiences(), textOf(parsed.Claims["iss"])
	}
	return credential
}

// audiences returns the audiences in the claim aud, which is a text or a list.
func audiences(claims map[string]any) []string {
	return (&signer.Parsed{Claims: claims}).Audiences()
}

func textOf(claim any) string {
	text, _ := claim.(string)
	return text
}

// presented is a token and the header that it came in.
type presented struct {
	header, token string
	value         string // of the header, with the scheme
}

// present returns the credential of a request. The header X-Serverless-Authorization takes precedence.
func present(r Request) (presented, *problem) {
	header, values := Authorization, r.Authorization
	if len(r.Serverless) > 0 {
		header, values = Serverless, r.Serverless
	}
	switch {
	case len(values) == 0 || len(values) == 1 && strings.TrimSpace(values[0]) == "":
		return presented{}, &problem{code: reason.NoCredential}
	case len(values) > 1:
		return presented{}, &problem{code: reason.SeveralCredentials, detail: header}
	}
	scheme, text, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	text = strings.TrimSpace(text)
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return presented{}, &problem{code: reason.NotBearer, detail: header}
	case strings.ContainsAny(text, ", "):
		return presented{}, &problem{code: reason.SeveralCredentials, detail: header}
	case text == "":
		return presented{}, &problem{code: reason.NotBearer, detail: header}
	}
	return presented{header: header, token: text, value: values[0]}, nil
}

// check returns the problem with a token, or nil. It does not check permissions.
func (d Door) check(c Credential) *problem {
	switch {
	case c.Kind == token.KindAccess:
		return &problem{code: reason.AccessToken, credential: c}
	case c.Refused != "":
		return &problem{code: origin(c), credential: c}
	case c.Kind.IsFirebase():
		return &problem{code: reason.Firebase, credential: c}
	case c.Kind != token.KindID:
		return &problem{code: reason.NotIDToken, credential: c}
	case !d.Now.Before(c.Expires):
		return &problem{code: reason.InvalidToken, credential: Credential{Refused: "the token has expired"}}
	case !d.isFor(c.Audiences):
		return &problem{code: reason.WrongAudience, credential: c}
	}
	return nil
}

// origin returns the code for an invalid token. The code depends on the issuer in the token.
func origin(c Credential) reason.Code {
	const firebase = "https://securetoken.google.com/"
	switch {
	case strings.HasPrefix(c.Issuer, firebase):
		return reason.Firebase
	case c.UnknownKey && strings.TrimPrefix(c.Issuer, "https://") == "accounts.google.com":
		return reason.RealGoogle
	default:
		return reason.InvalidToken
	}
}
