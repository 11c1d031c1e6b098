package world

import (
	"cmp"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
)

// PosixGroup is a Google group as virtual machines with OS Login know it.
type PosixGroup struct {
	fixtures.PosixGroup

	Email string
}

// posixAccount completes the POSIX account of a user. Google's user names are e-mail addresses with
// underscores (https://cloud.google.com/compute/docs/oslogin/manage-oslogin-in-an-org).
func posixAccount(user fixtures.User) fixtures.PosixAccount {
	const lowest, ids = 1_000_000_000, 1_000_000_000 // beyond the IDs of local users
	var account fixtures.PosixAccount
	if user.PosixAccount != nil {
		account = *user.PosixAccount
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("@.-+'", r) {
			return '_'
		}
		return r
	}, user.Email)
	account.Username = cmp.Or(account.Username, name[:min(len(name), fixtures.MaxPosixName)])
	account.UID = cmp.Or(account.UID, lowest+number("posix-user:"+user.Email)%ids)
	account.GID = cmp.Or(account.GID, account.UID)
	account.HomeDirectory = cmp.Or(account.HomeDirectory, "/home/"+account.Username)
	account.Shell = cmp.Or(account.Shell, "/bin/bash")
	return account
}

// Members returns the users in a POSIX group, directly or through another group.
func (w *World) Members(group PosixGroup) []*User {
	var members []*User
	for _, user := range w.Users {
		if slices.Contains(w.identities(user.Principal()), "group:"+strings.ToLower(group.Email)) {
			members = append(members, user)
		}
	}
	return members
}
