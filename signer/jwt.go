package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gcp-metadata-emulator/keys"
)

// JWT signs claims, a value that encoding/json can write, and returns the token in its
// compact form (RFC 7519). The header is Google's: alg, kid, typ.
func JWT(key *keys.Key, claims any) (string, error) {
	payload, err := encode(claims)
	if err != nil {
		return "", err
	}
	return RawJWT(key, payload)
}

func encode(claims any) ([]byte, error) {
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(claims); err != nil {
		return nil, fmt.Errorf("encode the claims: %w", err)
	}
	return bytes.TrimSuffix(payload.Bytes(), []byte("\n")), nil
}

// ES256 signs claims as JWT does, with a P-256 key.
func ES256(key *keys.ECKey, claims any) (string, error) {
	payload, err := encode(claims)
	if err != nil {
		return "", err
	}
	input := signingInput("ES256", key.ID(), payload)
	signature, err := jwt.SigningMethodES256.Sign(string(input), key.Private())
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return string(base64.RawURLEncoding.AppendEncode(append(input, '.'), signature)), nil
}

// signingInput is the part of a JWT that is signed.
func signingInput(algorithm, keyID string, payload []byte) []byte {
	header := `{"alg":"` + algorithm + `","kid":"` + keyID + `","typ":"JWT"}`
	input := make([]byte, 0, len(header)*4/3+len(payload)*4/3+8)
	input = base64.RawURLEncoding.AppendEncode(input, []byte(header))
	input = append(input, '.')
	return base64.RawURLEncoding.AppendEncode(input, payload)
}

// RawJWT signs a payload byte for byte as it is given, as the signJwt method does.
func RawJWT(key *keys.Key, payload []byte) (string, error) {
	input := signingInput("RS256", key.ID(), payload)
	signature, err := jwt.SigningMethodRS256.Sign(string(input), key.Private())
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return string(base64.RawURLEncoding.AppendEncode(append(input, '.'), signature)), nil
}

// Blob signs any bytes: RSASSA-PKCS1-v1_5 with SHA-256, as the signBlob method does.
func Blob(key *keys.Key, data []byte) ([]byte, error) {
	signature, err := jwt.SigningMethodRS256.Sign(string(data), key.Private())
	if err != nil {
		return nil, fmt.Errorf("sign a blob: %w", err)
	}
	return signature, nil
}

// Parsed is a JWT that has been taken apart and not been verified.
type Parsed struct {
	Header map[string]any
	Claims map[string]any // numbers are json.Number

	method    jwt.SigningMethod // nil where the header names none that exists
	input     string
	signature []byte
}

// ErrMalformed says that a text is no JWT in compact form.
var ErrMalformed = errors.New("not a JSON Web Token")

// Parse takes a JWT apart. Segments may carry base64 padding, which some clients send
// and Google accepts. The error is always ErrMalformed.
func Parse(text string) (*Parsed, error) {
	parser := jwt.NewParser(jwt.WithJSONNumber(), jwt.WithPaddingAllowed())
	claims := jwt.MapClaims{}
	token, parts, err := parser.ParseUnverified(text, claims)
	if err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable) { // a signing method that we do not have
		return nil, ErrMalformed
	}
	signature, err := parser.DecodeSegment(parts[2])
	if err != nil {
		return nil, ErrMalformed
	}
	return &Parsed{
		Header:    token.Header,
		Claims:    claims,
		method:    token.Method,
		input:     parts[0] + "." + parts[1],
		signature: signature,
	}, nil
}

// KeyID is the ID of the key that the header names; empty where it names none.
func (p *Parsed) KeyID() string {
	id, _ := p.Header["kid"].(string)
	return id
}

// Audiences are those that the claim aud names, one or a list of some.
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

// Time is a claim that says a time, if it does.
func (p *Parsed) Time(claim string) (time.Time, bool) {
	number, _ := p.Claims[claim].(json.Number)
	return NumericDate(number)
}

// NumericDate reads seconds since 1970 (RFC 7519, section 2), up to the end of the year 9999.
// Fractions are cut off.
func NumericDate(number json.Number) (time.Time, bool) {
	const year9999 = 253402300799
	seconds, err := number.Float64()
	if err != nil || !(seconds >= 0 && seconds <= year9999) { // as NaN is not, either
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// IsRS256 tells whether the header names the one algorithm that is used here.
func (p *Parsed) IsRS256() bool { return p.method == jwt.SigningMethodRS256 }

// SignedBy tells whether the RS256 signature is that of a key. A token with another
// algorithm, none included, is signed by nobody.
func (p *Parsed) SignedBy(key *rsa.PublicKey) bool {
	return p.IsRS256() && p.method.Verify(p.input, p.signature, key) == nil
}

// SignedByForeign is SignedBy for the key of another issuer, which may also be one of the
// elliptic curve P-256 with a signature of ES256.
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
