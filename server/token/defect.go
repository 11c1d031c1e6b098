package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/signer"
)

// Defect is what is wrong with a token that is issued on purpose for somebody to refuse it.
// What it does to each kind of token:
//
//	                 access   ID, IAP   JWT
//	expired          x        x         x     exp was an hour ago
//	not-yet-valid    x        x         x     iat and nbf are an hour ahead
//	wrong-issuer              x         x     iss is WrongIssuerURL
//	wrong-audience            x         x     aud is WrongAudienceURL
//	unknown-key      x        x         x     made with a key that nobody publishes
//	tampered         x        x         x     changed when it was made already: a claim more, or another letter
//	missing-email             x               there is neither email nor email_verified; the issuer of a JWT is one
//	unverified-email          x         x     email_verified is false
//	alg-none                  x         x     the header says that it is not signed, and it is not
//	revoked          x        x         x     taken back at once; a JWT has the claim jti, to be known by
//
// Who verifies a JWT by its signature alone cannot see that it was revoked. An opaque token
// has no claims, and so nothing to be wrong in them.
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

// The claims of a token whose issuer or audience is wrong.
const (
	WrongIssuerURL   = "https://wrong-issuer.example.com"
	WrongAudienceURL = "https://wrong-audience.example.com"
)

// Defects are those that a token of a kind can have.
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
	case KindRefresh:
	}
	return nil
}

type wishKey struct{}

// wish is a defect that tokens are to have.
type wish struct {
	defect  Defect
	granted atomic.Bool // a token has it
}

// WithDefect is a context in which tokens are issued with a defect: those of the kinds that
// can have it. They are not remembered, and none that was remembered is given out instead.
func WithDefect(ctx context.Context, defect Defect) context.Context {
	return context.WithValue(ctx, wishKey{}, &wish{defect: defect})
}

// IsDefective tells whether a token has been issued with the defect of a context: none is where
// a request is refused, and one that names no e-mail address cannot lack it.
func IsDefective(ctx context.Context) bool {
	wished, ok := ctx.Value(wishKey{}).(*wish)
	return ok && wished.granted.Load()
}

// defectOf is the defect that a token of a kind is to have.
func defectOf(ctx context.Context, kind Kind) Defect {
	wished, ok := ctx.Value(wishKey{}).(*wish)
	if !ok || !slices.Contains(kind.Defects(), wished.defect) {
		return NoDefect
	}
	return wished.defect
}

// hasDefect notes that a token has the defect that it was to have.
func hasDefect(ctx context.Context) {
	if wished, ok := ctx.Value(wishKey{}).(*wish); ok {
		wished.granted.Store(true)
	}
}

// period is the time in which a token is good that is not good now; shifted is false where
// the defect is another.
func (d Defect) period(now time.Time) (issued, expires time.Time, shifted bool) {
	const away = time.Hour // more than any verifier forgives
	now = now.Truncate(time.Second)
	if d == Expired {
		return now.Add(-2 * away), now.Add(-away), true
	}
	return now.Add(away), now.Add(2 * away), d == NotYetValid
}

// changes are the claims that a JWT has otherwise; nil takes one away.
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

// Sign signs the payload of a service account's JWT, a JSON object, byte for byte as it is
// given, unless the context asks for a defect.
func (i *Issuer) Sign(ctx context.Context, key *keys.Key, payload []byte) (string, error) {
	return i.sign(ctx, KindJWT, func(claims any) (string, error) {
		if unchanged, ok := claims.(json.RawMessage); ok {
			return signer.RawJWT(key, unchanged)
		}
		return signer.JWT(key, claims)
	}, json.RawMessage(payload))
}

// signature makes a JWT of claims.
type signature func(claims any) (string, error)

func byKey(key *keys.Key) signature {
	return func(claims any) (string, error) { return signer.JWT(key, claims) }
}

// byStranger signs as tokens of a kind are signed, with a key that nobody knows.
func (i *Issuer) byStranger(ctx context.Context, kind Kind) (signature, error) {
	if kind == KindIAP {
		key, err := i.stranger().IAP()
		return func(claims any) (string, error) { return signer.ES256(key, claims) }, err
	}
	key, err := i.stranger().System(IssuerURL).Active(ctx) // a set that makes one key, and no next one
	return byKey(key), err
}

// sign signs the claims of a JWT, as the context asks for it.
func (i *Issuer) sign(ctx context.Context, kind Kind, sign signature, claims any) (string, error) {
	defect := defectOf(ctx, kind)
	if defect == NoDefect {
		return sign(claims)
	}
	changed, err := merged(claims, nil)
	if err != nil {
		return "", err
	}
	if defect == MissingEmail && changed["email"] == nil && changed["email_verified"] == nil {
		return sign(claims) // there is none that could be missing
	}
	if changed, err = merged(changed, defect.changes(i.now())); err != nil {
		return "", err
	}
	hasDefect(ctx)
	if defect == UnknownKey {
		if sign, err = i.byStranger(ctx, kind); err != nil {
			return "", fmt.Errorf("make a key that nobody knows: %w", err)
		}
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

// withClaims is a JWT with other claims than those that were signed.
func withClaims(text string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode the claims: %w", err)
	}
	return text[:strings.Index(text, ".")+1] + base64.RawURLEncoding.EncodeToString(payload) + text[strings.LastIndex(text, "."):], nil
}

// unsigned is a JWT without its signature (RFC 7519, section 6.1).
func unsigned(text string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + text[strings.Index(text, "."):strings.LastIndex(text, ".")+1]
}

// IsRevoked tells whether a JWT was taken back, which only one that was issued so can be.
func (i *Issuer) IsRevoked(parsed *signer.Parsed) bool {
	id, _ := parsed.Claims["jti"].(string)
	return id != "" && i.revoked.has(id, "")
}

// sealed is an access token with what it says, as the context asks for it.
func (i *Issuer) sealed(ctx context.Context, access Access) (string, error) {
	defect, prefix := defectOf(ctx, KindAccess), accessPrefix(access.Principal.Kind)
	if issued, expires, shifted := defect.period(i.now()); shifted {
		access.IssuedAt, access.Expires = issued.Unix(), expires.Unix()
	}
	if defect != NoDefect {
		hasDefect(ctx)
	}
	sealer, err := i.Sealer(prefix)
	if defect == UnknownKey {
		sealer, err = newSealer(i.stranger(), prefix)
	}
	if err != nil {
		return "", err
	}
	text, err := sealer.Seal(access)
	if err == nil && defect == Revoked {
		i.revoked.add(access.ID)
	}
	if err == nil && defect == Tampered {
		text = otherLetter(text, len(text)/2)
	}
	return text, err
}

// otherLetter is a token with another letter at a place.
func otherLetter(text string, at int) string {
	letter := "A"
	if text[at] == 'A' {
		letter = "B"
	}
	return text[:at] + letter + text[at+1:]
}
