package keys_test

import (
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
)

// FuzzParsePublic checks that a public key that is read can be read again from its own text.
func FuzzParsePublic(f *testing.F) {
	key, err := newRing(f, "", time.Now).User("a@b.c", "1").Active(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(key.Certificate()))
	f.Add([]byte(key.PublicKey()))
	f.Add([]byte(key.Certificate() + key.PublicKey()))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		public, err := keys.ParsePublic(data)
		if err != nil {
			return
		}
		if again, err := keys.ParsePublic([]byte(public.PEM())); err != nil || again.ID() != public.ID() {
			t.Errorf("the key %s cannot be read again: %v", public.ID(), err)
		}
	})
}
