package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
)

// A key is the same with or without its certificate. Without one, it gets its own ID and a new
// certificate.
func TestParsePublic(t *testing.T) {
	t.Parallel()
	key := active(t, newRing(t, "", time.Now).User("a@b.c", "4711"))
	for text, id := range map[string]string{key.Certificate(): key.ID(), key.PublicKey(): fingerprint(t, key.PublicKey())} {
		public, err := keys.ParsePublic([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if public.ID() != id || !public.Public().Equal(key.Public()) || public.JWK().Modulus != key.JWK().Modulus {
			t.Errorf("got key %s, want %s; or a different public key", public.ID(), id)
		}
		block, _ := pem.Decode([]byte(public.Certificate()))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !key.Public().Equal(cert.PublicKey) || !cert.NotBefore.Equal(public.NotBefore()) || !cert.NotAfter.Equal(public.NotAfter()) {
			t.Errorf("the certificate is valid from %v to %v, or has a different key", cert.NotBefore, cert.NotAfter)
		}
	}
}

func fingerprint(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	sum := sha1.Sum(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// Identity-Aware Proxy's key is the same in every process, and in each of its forms.
func TestIAP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := newRing(t, dir, time.Now).IAP()
	if err != nil {
		t.Fatal(err)
	}
	again, err := newRing(t, dir, time.Now).IAP()
	if err != nil || again.ID() != key.ID() || len(key.ID()) != 6 {
		t.Errorf("the key is %v, then %v (%v)", key.ID(), again.ID(), err)
	}
	block, _ := pem.Decode([]byte(key.PublicKey()))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	point, err := public.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk := key.JWK()
	for name, pair := range map[string]struct {
		text string
		want []byte
	}{"x": {jwk.X, point[1:33]}, "y": {jwk.Y, point[33:]}} {
		data, err := base64.RawURLEncoding.DecodeString(pair.text)
		if err != nil || !bytes.Equal(data, pair.want) {
			t.Errorf("coordinate %s of the JWK is %q, which differs from the key's (%v)", name, pair.text, err)
		}
	}
}
