package emulatortest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Verifier has public keys by their IDs, as a service does. It shares no code with the emulator.
type Verifier map[string]*rsa.PublicKey

// JWKS reads the JSON web keys at a path.
func (e *Emulator) JWKS(t *testing.T, path string) Verifier {
	t.Helper()
	var set struct {
		Keys []struct{ Kid, N, E, Alg, Use, Kty string }
	}
	e.CallJSON(t, http.MethodGet, path, "", &set)
	known := Verifier{}
	for _, key := range set.Keys {
		modulus := Must[[]byte](t)(base64.RawURLEncoding.DecodeString(key.N))
		exponent := Must[[]byte](t)(base64.RawURLEncoding.DecodeString(key.E))
		known[key.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	}
	return known
}

// Certificates reads the keys of the X.509 certificates at a path.
func (e *Emulator) Certificates(t *testing.T, path string) Verifier {
	t.Helper()
	var certificates map[string]string
	e.CallJSON(t, http.MethodGet, path, "", &certificates)
	known := Verifier{}
	for id, text := range certificates {
		block, _ := pem.Decode([]byte(text))
		cert := Must[*x509.Certificate](t)(x509.ParseCertificate(block.Bytes))
		known[id], _ = cert.PublicKey.(*rsa.PublicKey)
	}
	return known
}

// IDs returns the IDs of the keys.
func (v Verifier) IDs() []string { return slices.Collect(maps.Keys(v)) }

// Verify returns the claims of a token that one of the keys has signed.
func (v Verifier) Verify(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts", len(parts))
	}
	var header struct{ Alg, Kid, Typ string }
	var claims map[string]any
	for i, into := range []any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, into); err != nil {
			return nil, err
		}
	}
	key, ok := v[header.Kid]
	if !ok || header.Alg != "RS256" || header.Typ != "JWT" {
		return nil, fmt.Errorf("header %+v", header)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return claims, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature)
}

// CheckIDToken checks that an ID token has exactly the given claims besides its issuer and its times.
// It also checks that the token verifies with the published keys in either form, but not after a
// change of one byte.
func (e *Emulator) CheckIDToken(t *testing.T, token string, want map[string]any) {
	t.Helper()
	noon := float64(Noon().Unix())
	all := map[string]any{"iss": "https://accounts.google.com", "iat": noon, "exp": noon + 3600}
	maps.Copy(all, want)
	for _, v := range []Verifier{e.JWKS(t, "/oauth2/v3/certs"), e.Certificates(t, "/oauth2/v1/certs")} {
		claims, err := v.Verify(token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all, claims); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		for i := 5; i < len(token)-1; i += 31 {
			changed := []byte(token)
			changed[i] ^= 1
			if claims, err := v.Verify(string(changed)); err == nil {
				t.Fatalf("verifies with byte %d changed: %v", i, claims)
			}
		}
	}
}
