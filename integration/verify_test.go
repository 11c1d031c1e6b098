package integration_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// keyring holds the public keys in a published document, by key ID. Verification with it uses
// only the standard library.
type keyring map[string]*rsa.PublicKey

// jwks reads a JWK set.
func (r *rig) jwks(t *testing.T, path string) keyring {
	t.Helper()
	var document struct {
		Keys []struct{ Kty, Alg, Use, Kid, N, E string }
	}
	r.fetch(t, path, &document)
	keys := make(keyring)
	for _, key := range document.Keys {
		if key.Kty != "RSA" || key.Alg != "RS256" || key.Use != "sig" {
			t.Errorf("%s: key %s is %s %s for %q", path, key.Kid, key.Kty, key.Alg, key.Use)
		}
		n, err := base64.RawURLEncoding.DecodeString(key.N)
		if err != nil {
			t.Fatalf("%s: n: %v", path, err)
		}
		e, err := base64.RawURLEncoding.DecodeString(key.E)
		if err != nil {
			t.Fatalf("%s: e: %v", path, err)
		}
		keys[key.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	return keys
}

// certificates reads a map of X.509 certificates in PEM.
func (r *rig) certificates(t *testing.T, path string) keyring {
	t.Helper()
	var document map[string]string
	r.fetch(t, path, &document)
	keys := make(keyring)
	for kid, text := range document {
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
			t.Fatalf("%s: %s is not one certificate:\n%s", path, kid, text)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatalf("%s: %s: %v", path, kid, err)
		}
		if sum := sha1.Sum(block.Bytes); hex.EncodeToString(sum[:]) != kid {
			t.Errorf("%s: the SHA-1 of the certificate %s is %x", path, kid, sum)
		}
		if now := time.Now(); now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
			t.Errorf("%s: %s is valid from %v to %v", path, kid, certificate.NotBefore, certificate.NotAfter)
		}
		public, ok := certificate.PublicKey.(*rsa.PublicKey)
		if !ok {
			t.Fatalf("%s: %s has a %T", path, kid, certificate.PublicKey)
		}
		keys[kid] = public
	}
	return keys
}

// verify returns the claims of a JWT, or an error if its signature is not valid.
func (k keyring) verify(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts", len(parts))
	}
	decoded := make([][]byte, len(parts))
	for i, part := range parts {
		data, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return nil, err
		}
		decoded[i] = data
	}
	var header map[string]string
	if err := json.Unmarshal(decoded[0], &header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	key, known := k[header["kid"]]
	if want := map[string]string{"alg": "RS256", "kid": header["kid"], "typ": "JWT"}; !known || !maps.Equal(header, want) {
		return nil, fmt.Errorf("header %s with keys %q", decoded[0], slices.Sorted(maps.Keys(k)))
	}
	if err := verifySignature(key, []byte(parts[0]+"."+parts[1]), decoded[2]); err != nil {
		return nil, err
	}
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader(decoded[1]))
	decoder.UseNumber()
	return claims, decoder.Decode(&claims)
}

func verifySignature(key *rsa.PublicKey, message, signature []byte) error {
	sum := sha256.Sum256(message)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature)
}

// checkIDToken verifies an ID token against both published documents of keys, and compares its
// claims. The token must be valid for an hour, and must be refused after any of its bytes was
// changed.
func (r *rig) checkIDToken(t *testing.T, what, token string, want map[string]any) {
	t.Helper()
	byJWK, byCertificate := r.jwks(t, "/oauth2/v3/certs"), r.certificates(t, "/oauth2/v1/certs")
	if !maps.EqualFunc(byJWK, byCertificate, func(a, b *rsa.PublicKey) bool { return a.Equal(b) }) {
		t.Error("/oauth2/v3/certs and /oauth2/v1/certs publish different keys")
	}
	for _, keys := range []keyring{byJWK, byCertificate} {
		claims, err := keys.verify(token)
		if err != nil {
			t.Fatalf("%s: %v: %s", what, err, token)
		}
		if err := checkLifetime(claims); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := checkCreation(claims); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, claims); diff != "" {
			t.Errorf("%s: claims (-want +got):\n%s", what, diff)
		}
		for altered := range alterations(token) {
			if _, err := keys.verify(altered); err == nil {
				t.Fatalf("%s: accepted after a byte was changed: %s", what, altered)
			}
		}
	}
	r.checkWithNode(t, token)
}

// checkLifetime removes iat and exp from the claims, and checks that they are now and an hour
// later.
func checkLifetime(claims map[string]any) error {
	issued, err := number(claims, "iat")
	if err != nil {
		return err
	}
	expires, err := number(claims, "exp")
	if err != nil {
		return err
	}
	delete(claims, "iat")
	delete(claims, "exp")
	if age := time.Since(time.Unix(issued, 0)); age < 0 || age > patience {
		return fmt.Errorf("issued %v ago", age)
	}
	if expires-issued != 3600 {
		return fmt.Errorf("good for %d seconds, want an hour", expires-issued)
	}
	return nil
}

// checkCreation removes the instance's creation time from the claims, if it is there, and checks
// that it is in the past.
func checkCreation(claims map[string]any) error {
	google, _ := claims["google"].(map[string]any)
	engine, ok := google["compute_engine"].(map[string]any)
	if !ok {
		return nil
	}
	created, err := number(engine, "instance_creation_timestamp")
	if err != nil {
		return err
	}
	delete(engine, "instance_creation_timestamp")
	if created <= 0 || created > time.Now().Unix() {
		return fmt.Errorf("the instance was created at %d", created)
	}
	return nil
}

func number(claims map[string]any, name string) (int64, error) {
	value, ok := claims[name].(json.Number)
	if !ok {
		return 0, errors.New("no number " + name)
	}
	return value.Int64()
}

// alterations returns copies of the token with one bit changed, at many places in its header,
// payload and signature.
func alterations(token string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		parts := strings.Split(token, ".")
		for i := range parts {
			data, _ := base64.RawURLEncoding.DecodeString(parts[i])
			for at := 0; at < len(data); at += 16 {
				altered, changed := slices.Clone(parts), slices.Clone(data)
				changed[at] ^= 1
				altered[i] = base64.RawURLEncoding.EncodeToString(changed)
				if !yield(strings.Join(altered, ".")) {
					return
				}
			}
		}
	}
}

// claims returns the usual claims of an ID token, and more.
func (r *rig) claims(t *testing.T, account string, more map[string]any) map[string]any {
	t.Helper()
	id := r.uniqueID(t, account)
	claims := map[string]any{"iss": "https://accounts.google.com", "aud": audience, "sub": id, "azp": id}
	maps.Copy(claims, more)
	return claims
}

func emailClaims(account string) map[string]any {
	return map[string]any{"email": account, "email_verified": true}
}

// grantedClaims returns the claims of an ID token that was requested with the account's own key:
// azp is the e-mail address.
func (r *rig) grantedClaims(t *testing.T, account string) map[string]any {
	t.Helper()
	claims := r.claims(t, account, emailClaims(account))
	claims["azp"] = account
	return claims
}

// instanceClaims returns the claims of an ID token from the metadata server with format=full,
// except the creation time of the instance, which no other answer contains.
func (r *rig) instanceClaims(t *testing.T) map[string]any {
	t.Helper()
	engine := map[string]any{
		"project_id":     projectID,
		"project_number": json.Number(projectNumber),
		"instance_name":  instanceName,
		"zone":           zone,
	}
	var instance struct{ ID json.Number }
	r.fetch(t, "/computeMetadata/v1/instance/?recursive=true", &instance)
	engine["instance_id"] = instance.ID.String()
	claims := r.claims(t, defaultAccount, emailClaims(defaultAccount))
	claims["google"] = map[string]any{"compute_engine": engine}
	return claims
}
