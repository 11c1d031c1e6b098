// Package accountkeys tells which keys a service account has: those that its key files
// hold, those that Google keeps for it, and those that were uploaded.
//
// The keys themselves are for package keys, and what has become of them for package world;
// here the two come together.
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

	System   bool // Google keeps its private half; else the account's users do
	Uploaded bool // its private half was never here
	Disabled bool
}

// Of are the keys of an account that exist already, and have neither expired nor been
// deleted: first the system-managed ones, then those of key files, then uploaded ones,
// the oldest first. It makes none.
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

// Usable are those of an account's keys that are good for signatures.
func Usable(ring *keys.Ring, account *world.ServiceAccount) ([]Key, error) {
	all, err := Of(ring, account)
	return slices.DeleteFunc(all, func(key Key) bool { return key.Disabled }), err
}

// Signing is a key for a key file of an account: the oldest of its key files that is good,
// or one that is made now.
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
