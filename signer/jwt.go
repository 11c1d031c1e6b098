package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	distinct "github.com/go-jose/go-jose/v4/json" // refuses duplicate members
	"github.com/golang-jwt/jwt/v5"

	"gcp-metadata-emulator/keys"
)

// Blob signs any bytes with RSASSA-PKCS1-v1_5 and SHA-256, as the signBlob method does.
func Blob(key *keys.Key, data []byte) ([]byte, error) {
	signature, err := rs256(key.Signer(), data)
	if err != nil {
		return nil, fmt.Errorf("sign a blob: %w", err)
	}
	return signature, nil
}

// Parsed is a JWT with an unverified signature.
type Parsed struct {
	Header map[string]any
	Claims map[string]any // numbers are json.Number

	method    jwt.SigningMethod // nil if the header names no known algorithm
	input     string
	signature []byte
}

// ErrMalformed reports a text that is not a JWT in compact form.
var ErrMalformed = errors.New("not a JSON Web Token")

func malformed(why string) error { return fmt.Errorf("%w: %s", ErrMalformed, why) }

// Parse decodes a JWT without verifying it. It takes only the one form that RFC 7515 and RFC 7519
// allow: unpadded base64url, and JSON objects without duplicate members and without anything after
// them. No two texts are therefore the same token, and no two programs read one text differently. It
// refuses the header crit, because the emulator knows no extensions. The error wraps ErrMalformed and
// describes the mistake.
func Parse(text string) (*Parsed, error) {
	return parse(jwt.NewParser(jwt.WithJSONNumber(), jwt.WithStrictDecoding()), text, text)
}

// ParseAssertion decodes a JWT like Parse, but its segments may also have padding, or be in the
// standard alphabet of base64, which Google's token endpoint accepts in assertions. The signature is
// over the text as it was sent, whichever alphabet it uses.
func ParseAssertion(text string) (*Parsed, error) {
	parser := jwt.NewParser(jwt.WithJSONNumber(), jwt.WithStrictDecoding(), jwt.WithPaddingAllowed())
	return parse(parser, strings.ReplaceAll(strings.ReplaceAll(text, "+", "-"), "/", "_"), text)
}

// parse decodes text. The signature is over the first two segments of sent.
func parse(parser *jwt.Parser, text, sent string) (*Parsed, error) {
	if strings.ContainsAny(text, "\r\n") { // package base64 would skip them
		return nil, malformed("it has a line break")
	}
	claims := jwt.MapClaims{}
	token, parts, err := parser.ParseUnverified(text, claims)
	if err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable) { // a signing method that the library lacks
		return nil, malformed("it cannot be decoded, because it was truncated or changed")
	}
	signature, err := parser.DecodeSegment(parts[2])
	if err != nil {
		return nil, malformed("its signature cannot be decoded, because it was truncated or changed")
	}
	for i, name := range []string{"header", "payload"} {
		content, err := parser.DecodeSegment(parts[i])
		if err != nil {
			return nil, malformed("its " + name + " cannot be decoded, because it was truncated or changed")
		}
		if problem := objectProblem(content); problem != "" {
			return nil, malformed("its " + name + " " + problem)
		}
	}
	if _, extended := token.Header["crit"]; extended {
		return nil, malformed("its header demands extensions in crit, and none is known")
	}
	return &Parsed{
		Header:    token.Header,
		Claims:    claims,
		method:    token.Method,
		input:     sent[:strings.LastIndexByte(sent, '.')],
		signature: signature,
	}, nil
}

// objectProblem describes the mistake in a text that has to be one JSON object with distinct
// members (RFC 7515, section 4, and RFC 7519, section 4), or returns "".
func objectProblem(text []byte) string {
	object := map[string]any{}
	switch {
	case !utf8.Valid(text):
		return "is not in UTF-8"
	case !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")):
		return "is not a JSON object"
	}
	if err := distinct.Unmarshal(text, &object); err != nil { // it is JSON, or it begins with JSON
		return "has duplicate members, or something after its JSON object"
	}
	return ""
}

// BeginsBy reports whether the token may be used from now on: the claim nbf is missing, or a time that
// has come.
func (p *Parsed) BeginsBy(now time.Time) bool {
	if p.Claims["nbf"] == nil {
		return true
	}
	from, ok := p.Time("nbf")
	return ok && !from.After(now)
}

// KeyID returns the key ID in the header. If the header has no key ID, it returns "".
func (p *Parsed) KeyID() string {
	id, _ := p.Header["kid"].(string)
	return id
}

// Has reports whether the token has a claim. If a claim is null or an empty text, it counts as
// missing, because some clients send every claim that they know.
func (p *Parsed) Has(claim string) bool {
	value := p.Claims[claim]
	return value != nil && value != ""
}

// Audiences returns the values of the aud claim, which is a string or a list of strings.
func (p *Parsed) Audiences() []string {
	list, ok := p.Claims["aud"].([]any)
	if !ok {
		list = []any{p.Claims["aud"]}
	}
	var all []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// Time returns the value of a claim that holds a NumericDate. ok is false if the claim is
// missing or invalid.
func (p *Parsed) Time(claim string) (t time.Time, ok bool) {
	number, _ := p.Claims[claim].(json.Number)
	return NumericDate(number)
}

// NumericDate converts seconds since 1970 (RFC 7519, section 2) and drops fractions. ok is
// false for numbers before 1970 or after 9999.
func NumericDate(number json.Number) (t time.Time, ok bool) {
	const year9999 = 253402300799
	seconds, err := number.Float64()
	if err != nil || !(seconds >= 0 && seconds <= year9999) { // also false for NaN
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// IsRS256 reports whether the header names RS256, the only algorithm of the emulator's RSA
// keys.
func (p *Parsed) IsRS256() bool { return p.method == jwt.SigningMethodRS256 }

// SignedBy reports whether key made the token's RS256 signature. It is false for tokens with
// another algorithm, including none.
func (p *Parsed) SignedBy(key *rsa.PublicKey) bool {
	return p.IsRS256() && p.method.Verify(p.input, p.signature, key) == nil
}

// MadeBy reports whether key made the token's RS256 signature, for any text. If so, and SignedBy is
// false, somebody has changed the token afterwards. Otherwise another key has signed it.
func (p *Parsed) MadeBy(key *rsa.PublicKey) bool {
	if !p.IsRS256() || len(p.signature) != key.Size() {
		return false
	}
	padded := new(big.Int).Exp(new(big.Int).SetBytes(p.signature), big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, key.Size()))
	const before = "\x00\x01" // RFC 8017, section 9.2: 0xff follows, up to the digest
	filling, _, found := bytes.Cut(padded[:key.Size()-sha256.Size], []byte("\xff\x00"))
	return found && string(filling[:len(before)]) == before && len(bytes.TrimLeft(filling[len(before):], "\xff")) == 0
}

// SignedByForeign reports whether another issuer's key made the signature: an RSA key with
// RS256, or a P-256 key with ES256.
func (p *Parsed) SignedByForeign(key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return p.SignedBy(key)
	case *ecdsa.PublicKey:
		return p.method == jwt.SigningMethodES256 && key.Curve == elliptic.P256() && p.method.Verify(p.input, p.signature, key) == nil
	default:
		return false
	}
}
