package keys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/signer"
)

// device stands for a device that holds a private key, such as a PKCS #11 token: a program only
// has a handle.
type device struct {
	sign   func(digest []byte, hash crypto.Hash) ([]byte, error)
	public crypto.PublicKey
	signed *atomic.Int64
}

func (d device) Public() crypto.PublicKey { return d.public }

func (d device) Sign(_ io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	d.signed.Add(1)
	return d.sign(digest, options.HashFunc())
}

// load loads a key into a device.
func load(key *rsa.PrivateKey, signed *atomic.Int64) device {
	return device{public: &key.PublicKey, signed: signed, sign: func(digest []byte, hash crypto.Hash) ([]byte, error) {
		return rsa.SignPKCS1v15(nil, key, hash, digest)
	}}
}

// A program that has OpenSSL or a PKCS #11 token lets it make the emulator's signatures.
func ExampleRing_SignWith() {
	var signed atomic.Int64
	ring := keys.NewRing("", time.Now) // for server.Config, or for tokens alone
	ring.SignWith(func(key *rsa.PrivateKey) (crypto.Signer, error) { return load(key, &signed), nil })

	key, err := ring.Google().Active(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	before := signed.Load() // the device has signed certificates already
	if _, err := signer.JWT(key, map[string]string{"aud": "https://login.example.com"}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(signed.Load()-before, "JWT signed by the device")
	// Output: 1 JWT signed by the device
}

// Every signature with a key is the work of the signer that was plugged in: of its certificate, of
// JWTs and of blobs. Verifiers see no difference.
func TestForeignSigners(t *testing.T) {
	t.Parallel()
	var signed atomic.Int64
	bound := newRing(t, t.TempDir(), time.Now)
	bound.SignWith(func(key *rsa.PrivateKey) (crypto.Signer, error) { return load(key, &signed), nil })
	t.Cleanup(bound.Wait)
	device := keys.NewRingOf(func() (crypto.Signer, error) {
		key, err := rsa.GenerateKey(rand.Reader, keys.Bits)
		if err != nil {
			return nil, err
		}
		return load(key, &signed), nil
	}, time.Now)
	t.Cleanup(device.Wait)
	for name, set := range map[string]*keys.Set{
		"bound, ID tokens": bound.Google(), "bound, key file": bound.User("a@b.c", "1"),
		"device, ID tokens": device.Google(), "device, system": device.System("a@b.c"),
	} {
		before := signed.Load()
		key := active(t, set)
		if signed.Load() == before {
			t.Errorf("%s: the device has not signed the certificate", name)
		}
		if _, ok := key.Signer().(*rsa.PrivateKey); ok {
			t.Fatalf("%s: Go signs", name)
		}
		checkCertificate(t, name, key)
		checkSignatures(t, name, key)
	}
}

// checkCertificate checks the signature of a key's certificate.
func checkCertificate(t *testing.T, name string, key *keys.Key) {
	t.Helper()
	block, _ := pem.Decode([]byte(key.Certificate()))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	digest := crypto.SHA1.New()
	_, _ = digest.Write(cert.RawTBSCertificate) // a hash never fails
	if err := rsa.VerifyPKCS1v15(key.Public(), crypto.SHA1, digest.Sum(nil), cert.Signature); err != nil {
		t.Errorf("%s: the certificate: %v", name, err)
	}
}

// checkSignatures checks that a JWT and a blob are good.
func checkSignatures(t *testing.T, name string, key *keys.Key) {
	t.Helper()
	text, err := signer.JWT(key, map[string]string{"aud": "https://login.example.com"})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if parsed, err := signer.Parse(text); err != nil || !parsed.SignedBy(key.Public()) {
		t.Errorf("%s: the JWT is not signed by its key (%v)", name, err)
	}
	blob, err := signer.Blob(key, []byte("hello"))
	digest := sha256.Sum256([]byte("hello"))
	if err != nil || rsa.VerifyPKCS1v15(key.Public(), crypto.SHA256, digest[:], blob) != nil {
		t.Errorf("%s: the blob is not signed by its key (%v)", name, err)
	}
}

// A ring that binds its keys to signers shares its files with a ring that does not.
func TestBoundKeysAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := active(t, newRing(t, dir, time.Now).Google())
	var signed atomic.Int64
	bound := newRing(t, dir, time.Now)
	bound.SignWith(func(key *rsa.PrivateKey) (crypto.Signer, error) { return load(key, &signed), nil })
	after := active(t, bound.Google())
	if after.ID() != before.ID() {
		t.Errorf("key %s instead of %s", after.ID(), before.ID())
	}
	if _, ok := after.Signer().(device); !ok {
		t.Errorf("a loaded key signs with %T", after.Signer())
	}
	if text, err := after.PrivateKey(); err != nil || !strings.Contains(text, "PRIVATE KEY") {
		t.Errorf("the private half is lost: %v", err)
	}
}

// The keys of a device stay there, except those of key files, which their holders must know.
func TestKeysOfADevice(t *testing.T) {
	t.Parallel()
	var signed atomic.Int64
	ring := keys.NewRingOf(func() (crypto.Signer, error) {
		key, err := rsa.GenerateKey(rand.Reader, keys.Bits)
		return load(key, &signed), err
	}, time.Now)
	t.Cleanup(ring.Wait)
	if err := ring.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := active(t, ring.Google()).PrivateKey(); err == nil {
		t.Error("a private key left its device")
	}
	if text, err := active(t, ring.User("a@b.c", "1")).PrivateKey(); err != nil || !strings.Contains(text, "PRIVATE KEY") {
		t.Errorf("a key file has no private key: %v", err)
	}
	first := active(t, ring.Google())
	if err := ring.Google().Rotate(t.Context(), keys.KeepAll); err != nil {
		t.Fatal(err)
	}
	if second := active(t, ring.Google()); second.ID() == first.ID() {
		t.Error("the device's key does not rotate")
	}
}

// A signer that cannot make the emulator's signatures is refused when its key is needed, not later.
func TestUnfitSigners(t *testing.T) {
	t.Parallel()
	elliptical := func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
	other := func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, keys.Bits) }
	bound := func(signer func() (crypto.Signer, error)) *keys.Ring {
		ring := newRing(t, "", time.Now)
		ring.SignWith(func(*rsa.PrivateKey) (crypto.Signer, error) { return signer() })
		return ring
	}
	for name, test := range map[string]struct {
		ring *keys.Ring
		want string
	}{
		"device with an EC key": {keys.NewRingOf(elliptical, time.Now), "*ecdsa.PublicKey instead of *rsa.PublicKey"},
		"device out of order":   {keys.NewRingOf(func() (crypto.Signer, error) { return nil, errors.New("no session") }, time.Now), "no session"},
		"bound to an EC key":    {bound(elliptical), "*ecdsa.PublicKey instead of *rsa.PublicKey"},
		"bound to another key":  {bound(other), "another public key"},
		"out of order":          {bound(func() (crypto.Signer, error) { return nil, errors.New("no session") }), "no session"},
	} {
		t.Cleanup(test.ring.Wait)
		if _, err := test.ring.Google().Active(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}
