package servertest

import (
	"context"

	"gcp-metadata-emulator/keys"
)

// Keys are the published keys that sign ID tokens, oldest first: the active one, the next one and those that were
// retired. There are none before somebody has asked for one, or for a token.
func (e *Emulator) Keys() []keys.Stated {
	e.t.Helper()
	published, err := e.keys.Google().States()
	if err != nil {
		e.t.Fatalf("servertest: read the signing keys: %v", err)
	}
	return published
}

// RotateKeys makes the next key the one that signs ID tokens. What it replaces goes on being
// published, as Google's does, for a day.
func (e *Emulator) RotateKeys() {
	e.t.Helper()
	e.RotateKeysKeeping(keys.KeepAll)
}

// RotateKeysKeeping is RotateKeys, after which only so many of the retired keys go on being published, the newest. With 0
// no ID token is good any more that was issued before.
func (e *Emulator) RotateKeysKeeping(retired int) {
	e.t.Helper()
	if err := e.keys.Google().Rotate(context.Background(), retired); err != nil {
		e.t.Fatalf("servertest: rotate the signing keys: %v", err)
	}
}

// CA is the certificate of the emulator's authority, in PEM, for what reaches Google's names through a proxy at
// the emulator's URL and not by [Emulator.Client].
func (e *Emulator) CA() string {
	e.t.Helper()
	authority, err := e.keys.Authority()
	if err != nil {
		e.t.Fatalf("servertest: make a certificate authority: %v", err)
	}
	return authority.Certificate()
}
