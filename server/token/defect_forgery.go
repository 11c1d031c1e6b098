package token

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"gcp-metadata-emulator/signer"
)

// forgeries returns the defects outside of the claims: signatures that a verifier must not believe,
// and JWTs that two programs could read differently.
func forgeries() []Defect {
	return []Defect{
		CopiedKeyID, HMACPublicKey, NoKeyID, NoSignature, EmbeddedKey, KeyURL, CertificateURL, CriticalHeader, DuplicateClaims, TrailingBytes, LastLetter,
	}
}

// isForgery reports whether forgery.sign makes the defect.
func (d Defect) isForgery() bool {
	return d == UnknownKey || d == AlgNone || slices.Contains(forgeries(), d)
}

// forgery makes JWTs with a wrong header, signature or form.
type forgery struct {
	good     signer.Key // the published key
	stranger signer.Key // an unpublished key of the same algorithm
	claims   map[string]any
}

// sign returns a JWT with the claims and the defect.
func (f forgery) sign(defect Defect) (string, error) {
	switch defect { //nolint:exhaustive // the others are not forgeries
	case UnknownKey:
		return f.stranger.JWT(f.claims)
	case AlgNone:
		return f.unsigned(`{"alg":"none","typ":"JWT"}`)
	case NoSignature:
		return f.unsigned(string(f.good.Header()))
	case CopiedKeyID:
		return f.with(f.stranger, f.good.Header())
	case HMACPublicKey:
		return f.byPublicKey()
	case NoKeyID:
		return f.headed(f.good, "kid", nil)
	case EmbeddedKey:
		return f.headed(f.stranger, "jwk", jose.JSONWebKey{Key: f.stranger.Public(), KeyID: f.stranger.ID()})
	case KeyURL:
		return f.headed(f.stranger, "jku", WrongIssuerURL+"/keys")
	case CertificateURL:
		return f.headed(f.stranger, "x5u", WrongIssuerURL+"/certificates")
	case CriticalHeader:
		return f.headed(f.good, "crit", []string{WrongIssuerURL})
	case DuplicateClaims:
		return f.twice()
	case TrailingBytes:
		return f.trailed()
	default:
		return f.otherEnd()
	}
}

// payload returns the claims in JSON.
func (f forgery) payload() ([]byte, error) {
	payload, err := json.Marshal(f.claims)
	if err != nil {
		return nil, fmt.Errorf("encode the claims: %w", err)
	}
	return payload, nil
}

// with returns the claims under a header, signed with a key.
func (f forgery) with(key signer.Key, header []byte) (string, error) {
	payload, err := f.payload()
	if err != nil {
		return "", err
	}
	return key.Raw(header, payload)
}

// headed returns the claims with a member of the header set, or removed if the value is nil.
func (f forgery) headed(key signer.Key, member string, value any) (string, error) {
	header, err := merged(json.RawMessage(key.Header()), map[string]any{member: value})
	if err != nil {
		return "", err
	}
	if member == "crit" {
		header[WrongIssuerURL] = true
	}
	encoded, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("encode a header: %w", err)
	}
	return f.with(key, encoded)
}

// unsigned returns the claims with an empty signature (RFC 7519, section 6.1).
func (f forgery) unsigned(header string) (string, error) {
	text, err := f.with(f.stranger, []byte(header))
	return text[:strings.LastIndex(text, ".")+1], err
}

// byPublicKey returns the claims signed with the published key as a secret. It deceives verifiers that
// let the header choose the algorithm.
func (f forgery) byPublicKey() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(f.good.Public())
	if err != nil {
		return "", fmt.Errorf("encode a public key: %w", err)
	}
	secret := signer.Secret(f.good.ID(), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return secret.JWT(f.claims)
}

// twice returns the claims, each of them twice, first with another value. If a verifier reads the
// first value and a program the last, they see different tokens.
func (f forgery) twice() (string, error) {
	payload, err := f.payload()
	if err != nil {
		return "", err
	}
	first := map[string]any{}
	for name := range f.claims {
		first[name] = WrongIssuerURL
	}
	before, err := json.Marshal(first)
	if err != nil {
		return "", fmt.Errorf("encode the claims: %w", err)
	}
	return f.good.Raw(f.good.Header(), slices.Concat(bytes.TrimSuffix(before, []byte("}")), []byte(","), payload[1:]))
}

// trailed returns the claims with a second object after them.
func (f forgery) trailed() (string, error) {
	payload, err := f.payload()
	if err != nil {
		return "", err
	}
	return f.good.Raw(f.good.Header(), append(payload, "{}"...))
}

// otherEnd returns a good token with another last letter. Only the lowest bits of the letter
// differ, and they mean nothing.
func (f forgery) otherEnd() (string, error) {
	text, err := f.good.JWT(f.claims)
	if err != nil {
		return "", err
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	end := len(text) - 1
	other := text[:end] + string(letters[strings.IndexByte(letters, text[end])^1])
	if _, err := base64.RawURLEncoding.Strict().DecodeString(other[strings.LastIndex(other, ".")+1:]); err == nil {
		return "", fmt.Errorf("every bit counts in the last letter of a signature of %s", f.good.Header())
	}
	return other, nil
}
