// Package oslogin answers the queries of OS Login: which POSIX users and groups a virtual machine has,
// and who may log in. The programs of google-compute-engine-oslogin send these queries to the metadata
// server (https://github.com/GoogleCloudPlatform/guest-oslogin).
//
// It owns the users' documents and the rules that select and page them. It does not own paths and
// answers, which package mds has, and plays no two-factor authentication.
package oslogin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

var (
	// ErrStranger means that the user does not exist.
	ErrStranger = errors.New("there is no such user")
	// ErrQuery says that a parameter of a query has an impossible value.
	ErrQuery = errors.New("impossible value of a parameter")
)

// lastPage is the token of the last page of a list.
const lastPage = "0"

// Profile is the login profile of a user, as a JSON object
// (https://cloud.google.com/compute/docs/oslogin/rest/v1/users/getLoginProfile).
type Profile = map[string]any

// Group is a POSIX group.
type Group struct {
	Name string `json:"name"`
	GID  string `json:"gid"`
}

// Profiles returns the profiles of the users of a world.
func Profiles(w *world.World) []Profile {
	profiles := make([]Profile, 0, len(w.Users))
	for _, user := range w.Users {
		profiles = append(profiles, profile(user))
	}
	return profiles
}

func profile(user *world.User) Profile {
	posix := user.Posix
	made := Profile{
		"name": user.UniqueID,
		"posixAccounts": []any{Profile{
			"primary": true, "username": posix.Username, "uid": id(posix.UID), "gid": id(posix.GID),
			"homeDirectory": posix.HomeDirectory, "shell": posix.Shell, "operatingSystemType": "LINUX",
		}},
	}
	if len(user.SSHKeys) > 0 {
		keys := map[string]any{}
		for _, key := range user.SSHKeys {
			sum := sha256.Sum256([]byte(key))
			fingerprint := hex.EncodeToString(sum[:])
			keys[fingerprint] = Profile{"key": key, "fingerprint": fingerprint}
		}
		made["sshPublicKeys"] = keys
	}
	return made
}

// id writes a number as Google's JSON has numbers of 64 bits.
func id(number uint64) string { return strconv.FormatUint(number, 10) }

// ProfilesIn returns the profiles in a fixture's document, which may be a text, in place of the fixture's
// users.
func ProfilesIn(document any) []Profile {
	if text, isText := document.(string); isText {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&document) != nil {
			return nil
		}
	}
	object, _ := document.(map[string]any)
	list, _ := object["loginProfiles"].([]any)
	var profiles []Profile
	for _, item := range list {
		if one, ok := item.(map[string]any); ok {
			profiles = append(profiles, one)
		}
	}
	return profiles
}

// Users answers a query of users: the one with a user name or a UID, the user names of a group, or a
// page of all of them.
func Users(w *world.World, profiles []Profile, query url.Values) (any, error) {
	switch {
	case query.Has("username"):
		return one(profiles, "username", query.Get("username"))
	case query.Has("uid"):
		return one(profiles, "uid", query.Get("uid"))
	case query.Has("groupname"):
		return map[string]any{"usernames": usernames(w, query.Get("groupname")), "nextPageToken": lastPage}, nil
	}
	page, next, err := cut(profiles, query)
	if err != nil || len(page) == 0 { // programs read no user beside the token that ends the list
		return map[string]any{"nextPageToken": lastPage}, err
	}
	return map[string]any{"loginProfiles": page, "nextPageToken": strconv.Itoa(next)}, nil
}

// one returns the profile of the user with a value in the POSIX account.
func one(profiles []Profile, field, value string) (any, error) {
	for _, profile := range profiles {
		accounts, _ := profile["posixAccounts"].([]any)
		for _, account := range accounts {
			if account, ok := account.(map[string]any); ok && account[field] != nil && fmt.Sprint(account[field]) == value {
				return map[string]any{"loginProfiles": []Profile{profile}}, nil
			}
		}
	}
	return nil, ErrStranger
}

// usernames returns the names of the users in a group. If the group is unknown, the list is empty,
// because programs take an error for a failure of the network.
func usernames(w *world.World, group string) []string {
	names := []string{}
	for _, one := range w.PosixGroups {
		if one.Name != group {
			continue
		}
		for _, user := range w.Members(one) {
			names = append(names, user.Posix.Username)
		}
	}
	return names
}

// cut returns the queried page of a list, and the index after it.
func cut[T any](list []T, query url.Values) (page []T, next int, err error) {
	first, size := 0, len(list)
	if text := query.Get("pagetoken"); text != "" {
		if first, err = strconv.Atoi(text); err != nil || first < 0 {
			return nil, 0, fmt.Errorf("%w: pagetoken %q", ErrQuery, text)
		}
	}
	if text := query.Get("pagesize"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 1 {
			return nil, 0, fmt.Errorf("%w: pagesize %q", ErrQuery, text)
		}
	}
	first = min(first, len(list))
	next = first + min(size, len(list)-first)
	return list[first:next], next, nil
}

// Groups answers a query of groups: the group with a name or a GID, a user's groups, or all of them. If
// no group fits, the list is empty; if there is no group at all, there is no list.
func Groups(w *world.World, query url.Values) (any, error) {
	fits := func(world.PosixGroup) bool { return true }
	switch {
	case query.Has("groupname"):
		fits = func(g world.PosixGroup) bool { return g.Name == query.Get("groupname") }
	case query.Has("gid"):
		fits = func(g world.PosixGroup) bool { return id(g.GID) == query.Get("gid") }
	case query.Has("email"):
		user, known := w.User(query.Get("email"))
		if !known {
			return nil, ErrStranger
		}
		fits = func(g world.PosixGroup) bool { return slices.Contains(w.Members(g), user) }
	case len(w.PosixGroups) == 0:
		return map[string]any{"nextPageToken": lastPage}, nil
	}
	groups := []Group{}
	for _, one := range w.PosixGroups {
		if fits(one) {
			groups = append(groups, Group{one.Name, id(one.GID)})
		}
	}
	page, next, err := cut(groups, query)
	token := strconv.Itoa(next)
	if next == len(groups) { // unlike the last page of users, that of groups has groups
		token = lastPage
	}
	return map[string]any{"posixGroups": page, "nextPageToken": token}, err
}

// Verdict is the answer to a query whether a user may log in.
type Verdict struct {
	Success bool `json:"success"`

	Member     string `json:"-"` // the user, as policies name them
	Permission string `json:"-"` // the permission that decides
}

// Authorize answers a query whether a user may log in, or may do so as an administrator. The project's
// policy decides, whether or not the emulator enforces policies elsewhere.
func Authorize(w *world.World, query url.Values, at time.Time) (Verdict, error) {
	permission, known := map[string]string{"login": iam.LogIn, "adminLogin": iam.LogInAsAdmin}[query.Get("policy")]
	if !known {
		return Verdict{}, fmt.Errorf("%w: policy %q", ErrQuery, query.Get("policy"))
	}
	user, known := w.User(strings.TrimSpace(query.Get("email")))
	if !known {
		return Verdict{}, ErrStranger
	}
	who := user.Principal()
	return Verdict{Success: w.May(who, permission, nil, at), Member: who.Member(), Permission: permission}, nil
}
