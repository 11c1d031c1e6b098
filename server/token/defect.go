package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/signer"
)

// Defect is a deliberate error in an issued token, so that clients can test that they refuse it.
// The defects of each kind of token:
//
//	                 access   ID, IAP   JWT   Firebase
//	expired          x        x         x     x          exp was an hour ago
//	not-yet-valid    x        x         x     x          iat and nbf are an hour ahead
//	wrong-issuer              x         x     x          iss is WrongIssuerURL
//	wrong-audience            x         x     x          aud is WrongAudienceURL
//	unknown-key      x        x         x     x          signed or sealed with an unpublished key
//	tampered         x        x         x     x          changed after it was signed: an added claim, or a different letter
//	missing-email             x                          no email and no email_verified; not for a JWT, whose issuer is an e-mail address
//	unverified-email          x         x                email_verified is false, as it may be in a Firebase token
//	alg-none                  x         x     x          the header says alg none, and there is no signature
//	revoked          x        x         x     x          revoked at once; a JWT gets the claim jti, by which it is recognised
//
// A verifier that only checks a JWT's signature cannot detect that it was revoked. An access
// token is opaque, so defects of claims do not apply to it.
type Defect string

// The defects.
const (
	NoDefect        Defect = ""
	Expired         Defect = "expired"
	NotYetValid     Defect = "not-yet-valid"
	WrongIssuer     Defect = "wrong-issuer"
	WrongAudience   Defect = "wrong-audience"
	UnknownKey      Defect = "unknown-key"
	Tampered        Defect = "tampered"
	MissingEmail    Defect = "missing-email"
	UnverifiedEmail Defect = "unverified-email"
	AlgNone         Defect = "alg-none"
	Revoked         Defect = "revoked"
)

// The claims of tokens with a wrong issuer or audience.
const (
	WrongIssuerURL   = "https://wrong-issuer.example.com"
	WrongAudienceURL = "https://wrong-audience.example.com"
)

// Defects returns the defects that a token of this kind can have.
func (k Kind) Defects() []Defect {
	switch k {
	case KindAccess:
		return []Defect{Expired, NotYetValid, UnknownKey, Tampered, Revoked}
	case KindID, KindIAP:
		return []Defect{
			Expired, NotYetValid, WrongIssuer, WrongAudience, UnknownKey, Tampered, MissingEmail, UnverifiedEmail, AlgNone, Revoked,
		}
	case KindJWT:
		return []Defect{Expired, NotYetValid, WrongIssuer, WrongAudience, UnknownKey, Tampered, UnverifiedEmail, AlgNone, Revoked}
	case KindFirebase, KindFirebaseSession:
		return []Defect{Expired, NotYetValid, WrongIssuer, WrongAudience, UnknownKey, Tampered, AlgNone, Revoked}
	case KindRefresh, KindFirebaseCustom:
	}
	return nil
}

type defectKey struct{}

// WithDefect returns a context whose tokens are issued with the defect, if their kind can have
// it. Such tokens are neither cached nor taken from the cache. Token.Defect says whether a token
// has the defect: a token without an email claim cannot lack one.
func WithDefect(ctx context.Context, defect Defect) context.Context {
	return context.WithValue(ctx, defectKey{}, defect)
}

// defectOf returns ctx's defect if tokens of this kind can have it, and otherwise NoDefect.
func defectOf(ctx context.Context, kind Kind) Defect {
	defect, _ := ctx.Value(defectKey{}).(Defect)
	if !slices.Contains(kind.Defects(), defect) {
		return NoDefect
	}
	return defect
}

// period returns the times of an expired or not yet valid token. shifted is false for other
// defects.
func (d Defect) period(now time.Time) (issued, expires time.Time, shifted bool) {
	const away = time.Hour // more than any verifier forgives
	now = now.Truncate(time.Second)
	if d == Expired {
		return now.Add(-2 * away), now.Add(-away), true
	}
	return now.Add(away), now.Add(2 * away), d == NotYetValid
}

// changes returns the claims that the defect changes in a JWT. A nil value removes a claim.
func (d Defect) changes(now time.Time) map[string]any {
	issued, expires, _ := d.period(now)
	switch d {
	case Expired:
		return map[string]any{"iat": issued.Unix(), "exp": expires.Unix(), "nbf": nil}
	case NotYetValid:
		return map[string]any{"iat": issued.Unix(), "exp": expires.Unix(), "nbf": issued.Unix()}
	case WrongIssuer:
		return map[string]any{"iss": WrongIssuerURL}
	case WrongAudience:
		return map[string]any{"aud": WrongAudienceURL}
	case MissingEmail:
		return map[string]any{"email": nil, "email_verified": nil}
	case UnverifiedEmail:
		return map[string]any{"email_verified": false}
	case Revoked:
		return map[string]any{"jti": uuid.NewString()}
	case NoDefect, UnknownKey, Tampered, AlgNone:
	}
	return nil
}

// Sign signs the payload of a service account's JWT, a JSON object. It keeps the payload byte for
// byte unless ctx asks for a defect. The token that it returns has no times.
func (i *Issuer) Sign(ctx context.Context, key *keys.Key, payload []byte) (Token, error) {
	return i.sign(ctx, KindJWT, func(claims any) (string, error) {
		if unchanged, ok := claims.(json.RawMessage); ok {
			return signer.RawJWT(key, unchanged)
		}
		return signer.JWT(key, claims)
	}, json.RawMessage(payload))
}

// signature signs claims and returns the JWT.
type signature func(claims any) (string, error)

func byKey(key *keys.Key) signature {
	return func(claims any) (string, error) { return signer.JWT(key, claims) }
}

// byStranger returns a signature with an unpublished key, in the algorithm of tokens of this
// kind.
func (i *Issuer) byStranger(ctx context.Context, kind Kind) (signature, error) {
	if kind == KindIAP {
		key, err := i.stranger().IAP()
		return func(claims any) (string, error) { return signer.ES256(key, claims) }, err
	}
	key, err := i.stranger().System(IssuerURL).Active(ctx) // this set makes a single key and no successor
	return byKey(key), err
}

// sign signs the claims of a JWT, with ctx's defect if the token can have it. The token that it
// returns has no times.
func (i *Issuer) sign(ctx context.Context, kind Kind, sign signature, claims any) (Token, error) {
	signed, err := i.signMaybeSpoilt(ctx, kind, i.measured(sign), claims)
	if err == nil {
		i.counts.Minted(string(kind))
	}
	return signed, err
}

// measured returns a signature whose duration is measured.
func (i *Issuer) measured(sign signature) signature {
	return func(claims any) (string, error) {
		begun := time.Now() //nolint:forbidigo // signatures take real time
		text, err := sign(claims)
		i.counts.Signed(time.Since(begun))
		return text, err
	}
}

// SignBlob signs any bytes with the key of a service account.
func (i *Issuer) SignBlob(key *keys.Key, data []byte) ([]byte, error) {
	begun := time.Now() //nolint:forbidigo // signatures take real time
	signature, err := signer.Blob(key, data)
	i.counts.Signed(time.Since(begun))
	return signature, err
}

// signMaybeSpoilt signs the claims, with ctx's defect if the token can have it.
func (i *Issuer) signMaybeSpoilt(ctx context.Context, kind Kind, sign signature, claims any) (Token, error) {
	defect := defectOf(ctx, kind)
	if defect == NoDefect {
		text, err := sign(claims)
		return Token{Text: text}, err
	}
	changed, err := merged(claims, nil)
	if err != nil {
		return Token{}, err
	}
	if defect == MissingEmail && changed["email"] == nil && changed["email_verified"] == nil {
		text, err := sign(claims) // the token has no e-mail claims to remove
		return Token{Text: text}, err
	}
	if defect == UnknownKey {
		if sign, err = i.byStranger(ctx, kind); err != nil {
			return Token{}, fmt.Errorf("generate an unpublished key: %w", err)
		}
		sign = i.measured(sign)
	}
	text, err := i.signSpoilt(sign, changed, defect)
	return Token{Text: text, Defect: defect}, err
}

// signSpoilt signs claims so that the JWT has the defect.
func (i *Issuer) signSpoilt(sign signature, claims map[string]any, defect Defect) (string, error) {
	changed, err := merged(claims, defect.changes(i.now()))
	if err != nil {
		return "", err
	}
	text, err := sign(changed)
	if err != nil {
		return "", err
	}
	if id, ok := changed["jti"].(string); ok && defect == Revoked {
		i.revoked.add(id)
	}
	if defect == Tampered {
		changed["tampered"] = true
		return withClaims(text, changed)
	}
	if defect == AlgNone {
		return unsigned(text), nil
	}
	return text, nil
}

// withClaims replaces the claims of a JWT without signing it again.
func withClaims(text string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode the claims: %w", err)
	}
	return text[:strings.Index(text, ".")+1] + base64.RawURLEncoding.EncodeToString(payload) + text[strings.LastIndex(text, "."):], nil
}

// unsigned returns the JWT without its signature (RFC 7519, section 6.1).
func unsigned(text string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + text[strings.Index(text, "."):strings.LastIndex(text, ".")+1]
}

// IsRevoked reports whether a JWT was revoked. Only a JWT with defect revoked can be.
func (i *Issuer) IsRevoked(parsed *signer.Parsed) bool {
	id, _ := parsed.Claims["jti"].(string)
	return id != "" && i.revoked.has(id, "")
}

// sealed returns the text of an access token with a defect, or with NoDefect.
func (i *Issuer) sealed(access Access, defect Defect) (string, error) {
	prefix := accessPrefix(access.Principal.Kind)
	if issued, expires, shifted := defect.period(i.now()); shifted {
		access.IssuedAt, access.Expires = issued.Unix(), expires.Unix()
	}
	sealer, err := i.sealer(prefix)
	if defect == UnknownKey {
		sealer, err = newSealer(i.stranger(), prefix)
	}
	if err != nil {
		return "", err
	}
	own := stamp{ID: access.ID, Session: access.Session, IssuedAt: access.IssuedAt, Expires: access.Expires}
	text, err := i.sealWith(sealer, MaxAccess, own, access.Grant)
	if err == nil && defect == Revoked {
		i.revoked.add(access.ID)
	}
	if err == nil && defect == Tampered {
		text = otherLetter(text, len(text)/2)
	}
	return text, err
}

// otherLetter returns the token with a different letter at index at.
func otherLetter(text string, at int) string {
	letter := "A"
	if text[at] == 'A' {
		letter = "B"
	}
	return text[:at] + letter + text[at+1:]
}
