package servertest

import (
	"context"

	"gcp-metadata-emulator/keys"
)

// Keys returns the published signing keys of ID tokens, oldest first: retired keys, the active
// key and the next one. The list is empty until the first use of a key.
func (e *Emulator) Keys() []keys.Stated {
	e.t.Helper()
	published, err := e.keys.Google().States()
	if err != nil {
		e.t.Fatalf("servertest: read the signing keys: %v", err)
	}
	return published
}

// RotateKeys makes the next key the active one, in each of Google's key sets that is in use. As
// with Google's keys, the old key stays
// published for a day.
func (e *Emulator) RotateKeys() {
	e.t.Helper()
	e.RotateKeysKeeping(keys.KeepAll)
}

// RotateKeysKeeping is RotateKeys, but only the newest retired keys, at most this many, stay
// published. With 0, verifiers refuse all older ID tokens.
func (e *Emulator) RotateKeysKeeping(retired int) {
	e.t.Helper()
	if err := e.keys.Rotate(context.Background(), retired); err != nil {
		e.t.Fatalf("servertest: rotate the signing keys: %v", err)
	}
}

// CA returns the certificate of the emulator's authority, in PEM. Programs need it if they reach
// Google's host names through a proxy at the emulator's URL instead of [Emulator.Client].
func (e *Emulator) CA() string {
	e.t.Helper()
	authority, err := e.keys.Authority()
	if err != nil {
		e.t.Fatalf("servertest: make a certificate authority: %v", err)
	}
	return authority.Certificate()
}
