package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

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
//	revoked          x        x         x     x          revoked at once; a JWT gets a claim jti that says so
//	just-expired     x        x         x     x          exp was a second ago
//	copied-key-id             x         x     x          signed with an unpublished key, under the ID of the published key
//	hmac-public-key           x         x     x          HS256, with the published key in PEM as the secret
//	no-key-id                 x               x          the header has no kid; service accounts need not name their key
//	no-signature              x         x     x          the header is a good token's, and the signature is empty
//	embedded-key              x         x     x          signed with an unpublished key, which the header has in jwk
//	key-url                   x         x     x          the same, but jku is a URL of WrongIssuerURL
//	certificate-url           x         x     x          the same, but x5u is a URL of WrongIssuerURL
//	critical-header           x         x     x          crit demands an extension that nobody knows
//	duplicate-claims          x         x     x          every claim is there twice, first with another value
//	trailing-bytes            x         x     x          something follows the JSON object of the claims
//	last-letter               x         x     x          the last letter differs in bits that base64 does not use
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

	JustExpired     Defect = "just-expired"
	CopiedKeyID     Defect = "copied-key-id"
	HMACPublicKey   Defect = "hmac-public-key"
	NoKeyID         Defect = "no-key-id"
	NoSignature     Defect = "no-signature"
	EmbeddedKey     Defect = "embedded-key"
	KeyURL          Defect = "key-url"
	CertificateURL  Defect = "certificate-url"
	CriticalHeader  Defect = "critical-header"
	DuplicateClaims Defect = "duplicate-claims"
	TrailingBytes   Defect = "trailing-bytes"
	LastLetter      Defect = "last-letter"
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
		return []Defect{Expired, NotYetValid, UnknownKey, Tampered, Revoked, JustExpired}
	case KindID, KindIAP:
		return append([]Defect{
			Expired, NotYetValid, WrongIssuer, WrongAudience, UnknownKey, Tampered, MissingEmail, UnverifiedEmail, AlgNone, Revoked, JustExpired,
		}, forgeries()...)
	case KindJWT:
		others := slices.DeleteFunc(forgeries(), func(defect Defect) bool { return defect == NoKeyID }) // accounts need not name their key
		return append([]Defect{
			Expired, NotYetValid, WrongIssuer, WrongAudience, UnknownKey, Tampered, UnverifiedEmail, AlgNone, Revoked, JustExpired,
		}, others...)
	case KindFirebase, KindFirebaseSession:
		return append([]Defect{
			Expired, NotYetValid, WrongIssuer, WrongAudience, UnknownKey, Tampered, AlgNone, Revoked, JustExpired,
		}, forgeries()...)
	case KindRefresh, KindFirebaseCustom:
	}
	return nil
}

type defectKey struct{}

// WithDefect returns a context for issuing tokens with the defect, if their kind can have it. Such
// tokens are neither cached nor taken from the cache. Token.Defect reports whether a token has the
// defect: if a token has no email claim, it cannot lose it.
func WithDefect(ctx context.Context, defect Defect) context.Context {
	return context.WithValue(ctx, defectKey{}, defect)
}

// defectOf returns ctx's defect if tokens of this kind can have it, and otherwise NoDefect.
func defectOf(ctx context.Context, kind Kind) Defect {
	defect, _ := ctx.Value(defectKey{}).(Defect)
	if defect == NoDefect || !slices.Contains(kind.Defects(), defect) { // the list of defects takes an allocation
		return NoDefect
	}
	return defect
}

// period returns the times of an expired or not yet valid token. shifted is false for other
// defects.
func (d Defect) period(now time.Time) (issued, expires time.Time, shifted bool) {
	const away = time.Hour // more than any verifier forgives
	now = now.Truncate(time.Second)
	switch d { //nolint:exhaustive // the other defects are not in the times
	case Expired:
		return now.Add(-2 * away), now.Add(-away), true
	case JustExpired:
		return now.Add(-time.Second - away), now.Add(-time.Second), true
	default:
		return now.Add(away), now.Add(2 * away), d == NotYetValid
	}
}

// changes returns the claims that the defect changes in a JWT. A nil value removes a claim.
func (d Defect) changes(now time.Time) map[string]any {
	issued, expires, _ := d.period(now)
	switch d { //nolint:exhaustive // the other defects are not in the claims
	case Expired, JustExpired:
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
	}
	return nil
}

// Sign signs the payload of a service account's JWT, a JSON object. Unless ctx asks for a defect,
// it keeps the payload byte for byte. The returned token has no times.
func (i *Issuer) Sign(ctx context.Context, key *keys.Key, payload []byte) (Token, error) {
	return i.sign(ctx, KindJWT, signer.RSA(key), json.RawMessage(payload))
}

// byStranger returns an unpublished key for tokens of this kind.
func (i *Issuer) byStranger(ctx context.Context, kind Kind) (signer.Key, error) {
	if kind == KindIAP {
		key, err := i.stranger().IAP()
		if err != nil {
			return signer.Key{}, fmt.Errorf("generate an unpublished key: %w", err)
		}
		return signer.EC(key), nil
	}
	key, err := i.stranger().System(IssuerURL).Active(ctx) // this set makes a single key and no successor
	if err != nil {
		return signer.Key{}, fmt.Errorf("generate an unpublished key: %w", err)
	}
	return signer.RSA(key), nil
}

// sign signs the claims of a JWT, with ctx's defect if the token can have it. The returned token
// has no times.
func (i *Issuer) sign(ctx context.Context, kind Kind, key signer.Key, claims any) (Token, error) {
	signed, err := i.signMaybeSpoilt(ctx, kind, key, claims)
	if err == nil {
		i.counts.Minted(string(kind))
	}
	return signed, err
}

// measured signs claims, and measures how long that takes.
func (i *Issuer) measured(key signer.Key, claims any) (string, error) {
	begun := time.Now() //nolint:forbidigo // signatures take real time
	text, err := key.JWT(claims)
	i.counts.Signed(time.Since(begun))
	return text, err
}

// SignBlob signs any bytes with the key of a service account.
func (i *Issuer) SignBlob(key *keys.Key, data []byte) ([]byte, error) {
	begun := time.Now() //nolint:forbidigo // signatures take real time
	signature, err := signer.Blob(key, data)
	i.counts.Signed(time.Since(begun))
	return signature, err
}

// signMaybeSpoilt signs the claims, with ctx's defect if the token can have it.
func (i *Issuer) signMaybeSpoilt(ctx context.Context, kind Kind, key signer.Key, claims any) (Token, error) {
	defect := defectOf(ctx, kind)
	if defect == NoDefect {
		text, err := i.measured(key, claims)
		return Token{Text: text}, err
	}
	changed, err := merged(claims, nil)
	if err != nil {
		return Token{}, err
	}
	if defect == MissingEmail && changed["email"] == nil && changed["email_verified"] == nil {
		text, err := i.measured(key, claims) // the token has no e-mail claims to remove
		return Token{Text: text}, err
	}
	if changed, err = merged(changed, defect.changes(i.now())); err != nil {
		return Token{}, err
	}
	if defect == Revoked {
		if changed["jti"], err = i.revokedID(); err != nil {
			return Token{}, err
		}
	}
	text, err := i.signSpoilt(ctx, kind, key, draft{changed, defect})
	return Token{Text: text, Defect: defect}, err
}

// draft is the content of a JWT with a defect.
type draft struct {
	claims map[string]any
	defect Defect
}

// signSpoilt signs claims so that the JWT has the defect.
func (i *Issuer) signSpoilt(ctx context.Context, kind Kind, key signer.Key, d draft) (string, error) {
	if d.defect.isForgery() {
		stranger, err := i.byStranger(ctx, kind)
		if err != nil {
			return "", err
		}
		return forgery{good: key, stranger: stranger, claims: d.claims}.sign(d.defect)
	}
	text, err := i.measured(key, d.claims)
	if err != nil {
		return "", err
	}
	if d.defect == Tampered {
		d.claims["tampered"] = true
		return withClaims(text, d.claims)
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

// sealed returns the text of an access token with a defect, or with NoDefect.
func (i *Issuer) sealed(ctx context.Context, access Access, defect Defect) (string, error) {
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
		_, err = i.revoked.Retire(ctx, access.ID)
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
