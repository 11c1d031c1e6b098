// Package accountkeys lists the keys of a service account: the keys in its key files, the
// system-managed keys that Google keeps for it, and uploaded keys.
//
// It combines two packages: package keys holds the keys themselves, and package world knows whether
// a key is disabled or deleted.
package accountkeys

import (
	"context"
	"fmt"
	"slices"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/world"
)

// Key is a key of a service account.
type Key struct {
	*keys.Certified

	System   bool // Google keeps the private key; otherwise the account's users do
	Uploaded bool // only the public key is known here
	Disabled bool
}

// Of returns the existing keys of an account, except expired and deleted ones. The order is
// system-managed, key files, uploaded, and the oldest first within each. Of does not generate
// keys.
func Of(ring *keys.Ring, account *world.ServiceAccount) ([]Key, error) {
	var all []Key
	system, err := ring.System(account.Email).Known()
	if err != nil {
		return nil, fmt.Errorf("read the keys of %q: %w", account.Email, err)
	}
	for _, key := range system {
		all = append(all, Key{Certified: &key.Certified, System: true})
	}
	user, err := ring.User(account.Email, account.UniqueID).Known()
	if err != nil {
		return nil, fmt.Errorf("read the keys of %q: %w", account.Email, err)
	}
	for _, key := range user {
		all = append(all, Key{Certified: &key.Certified})
	}
	for _, key := range account.UploadedKeys {
		all = append(all, Key{Certified: key, Uploaded: true})
	}
	all = slices.DeleteFunc(all, func(key Key) bool {
		return account.KeyStates[key.ID()] == world.KeyDeleted || ring.IsExpired(key.Certified)
	})
	for i, key := range all {
		all[i].Disabled = account.KeyStates[key.ID()] == world.KeyDisabled
	}
	return all, nil
}

// Usable returns the keys of an account that are neither disabled nor deleted.
func Usable(ring *keys.Ring, account *world.ServiceAccount) ([]Key, error) {
	all, err := Of(ring, account)
	return slices.DeleteFunc(all, func(key Key) bool { return key.Disabled }), err
}

// Signing returns the key for a new key file of an account: the oldest key of its key files that
// is neither disabled nor deleted, or else a new key.
func Signing(ctx context.Context, ring *keys.Ring, account *world.ServiceAccount) (*keys.Key, error) {
	set := ring.User(account.Email, account.UniqueID)
	known, err := set.Known()
	if err != nil {
		return nil, fmt.Errorf("read the keys of %q: %w", account.Email, err)
	}
	good := func(key *keys.Key) bool { return account.KeyStates[key.ID()] == "" }
	if i := slices.IndexFunc(known, good); i >= 0 {
		return known[i], nil
	}
	if len(known) > 0 {
		return set.Add(keys.Bits)
	}
	return set.Active(ctx)
}
