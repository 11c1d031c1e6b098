// Package world is the state of an emulator: the project, accounts, users and instances that it
// plays.
//
// A [World] is complete and indexed, whereas its fixture may leave values out. It is immutable, so
// any number of goroutines may read it without a lock. Package server/store keeps and replaces
// worlds, package server/iam evaluates policies, and the surfaces decide how a world looks on the
// wire.
package world

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/iam"
)

// World is the complete emulated state at one moment.
type World struct {
	Project        Project
	UniverseDomain string
	Strict         bool // policies are enforced unless the emulator was told otherwise
	Callers        fixtures.Callers
	Accounts       []*ServiceAccount // in the fixture's order
	Users          []*User
	PosixGroups    []PosixGroup   // the Google groups that virtual machines know
	OAuthClients   []*OAuthClient // the registered clients; see OAuthClient
	Pools          []*Pool
	CustomRoles    []*iam.Role // of the project; deleted ones too
	Instances      []*Instance // at least one; the first is the default
	InstanceGroups []fixtures.InstanceGroup
	Neighbours     []*Neighbour

	accountsByID    map[string]*ServiceAccount // lower-case e-mail addresses and unique IDs
	usersByID       map[string]*User           // lower-case e-mail addresses and unique IDs
	instancesByName map[string]*Instance
	networks        networks
	servicesByHost  map[string][]serviceURL
	clusters        *Pool  // of the pods' clusters, if the fixture does not describe it
	pods            *Pods  // of a cluster that is watched; nil: none is
	podsAreLike     string // the name of the first instance of profile gke; empty: there is none
	groups          iam.Groups
	roles           iam.Roles
	policies        map[string]*iam.Policy    // by unique ID of the service account, or services/NAME; the project's by ""
	deleted         map[string]deletedAccount // by unique ID

	origin *fixtures.Fixture // the fixture that the world was made of; it never changes
}

// Project is a Google Cloud project.
type Project struct {
	ID     string
	Number uint64
}

// Is reports whether a name stands for the project: its ID, or its number.
func (p Project) Is(name string) bool {
	return name == p.ID || name == strconv.FormatUint(p.Number, 10)
}

// ServiceAccount is an identity of a program.
type ServiceAccount struct {
	Email            string
	UniqueID         string // 21 digits
	DisplayName      string
	Description      string
	Disabled         bool
	MaxTokenLifetime time.Duration // how long its access tokens may live

	// UploadedKeys are user-managed keys of which the emulator only has the public half.
	UploadedKeys []*keys.Certified
	// KeyStates has the states, by ID, of disabled and deleted keys.
	KeyStates map[string]KeyState

	// DomainWideDelegation are the scopes for which it may act for any user.
	DomainWideDelegation []string
}

// Principal returns the account as a principal.
func (a *ServiceAccount) Principal() iam.Principal {
	return iam.Principal{Kind: iam.KindServiceAccount, Email: a.Email, ID: a.UniqueID}
}

// ActsForUsers reports whether the account may act for any user with these scopes. There must be
// at least one scope.
func (a *ServiceAccount) ActsForUsers(scopes []string) bool {
	return len(scopes) > 0 && iam.CoverScopes(a.DomainWideDelegation, scopes)
}

// KeyState is the state of a key that cannot be used.
type KeyState string

// The states of keys. A disabled key can be enabled again.
const (
	KeyDisabled KeyState = "disabled"
	KeyDeleted  KeyState = "deleted"
)

// User is a person.
type User struct {
	Email    string
	UniqueID string // 21 digits
	Name     string // the full name; may be empty

	Posix   fixtures.PosixAccount // complete
	SSHKeys []string
}

// Principal returns the user as a principal.
func (u *User) Principal() iam.Principal {
	return iam.Principal{Kind: iam.KindUser, Email: u.Email, ID: u.UniqueID}
}

// Names returns the given and the family name. If the full name has several words, the last word
// is the family name.
func (u *User) Names() (given, family string) {
	words := strings.Fields(u.Name)
	if len(words) < 2 {
		return strings.TrimSpace(u.Name), ""
	}
	last := len(words) - 1
	return strings.Join(words[:last], " "), words[last]
}

// DefaultTokenLifetime is the maximum lifetime of access tokens unless an organisation allows more
// (https://cloud.google.com/iam/docs/create-short-lived-credentials-direct).
const DefaultTokenLifetime = time.Hour

// New completes and indexes the world of a fixture that is known to be valid. It reports no
// mistake: a broken condition accepts nothing.
func New(f *fixtures.Fixture) *World {
	w, _ := build(f)
	return w
}

// build makes a usable world even if it returns an error. The error names the first broken
// expression of the fixture.
func build(f *fixtures.Fixture) (*World, error) {
	w := &World{
		Project:        Project{ID: f.Project.ID, Number: f.Project.Number},
		UniverseDomain: f.UniverseDomain,
		Strict:         f.Strict,
		Callers:        f.Callers,
		accountsByID:   make(map[string]*ServiceAccount, 2*len(f.ServiceAccounts)),
		usersByID:      make(map[string]*User, 2*len(f.Users)),

		InstanceGroups:  f.InstanceGroups,
		instancesByName: make(map[string]*Instance, len(f.Instances)),

		origin: f,
	}
	for _, account := range f.ServiceAccounts {
		w.addAccount(account)
	}
	for _, instance := range f.Instances {
		for _, recorded := range recordedAccounts(instance) {
			if _, known := w.attachable(recorded); !known && !fixtures.IsClusterPool(recorded.Email) {
				w.addAccount(fixtures.ServiceAccount{Email: recorded.Email})
			}
		}
	}
	for _, user := range f.Users {
		w.addUser(user)
	}
	for _, client := range f.OAuthClients {
		w.OAuthClients = append(w.OAuthClients, &OAuthClient{ID: client.ID, Secret: client.Secret, RedirectURIs: client.RedirectURIs})
	}
	w.addRoles(f)
	mistake := cmp.Or(w.addPools(f), w.addPolicies(f))
	for _, described := range f.Instances {
		instance := newInstance(w, described)
		w.Instances = append(w.Instances, instance)
		w.instancesByName[instance.Name] = instance
	}
	w.addNeighbours(f.Neighbours)
	w.deriveFromInstances()
	return w, mistake
}

// recordedAccounts returns the service accounts of all recordings of an instance.
func recordedAccounts(instance fixtures.Instance) []fixtures.AttachedAccount {
	accounts := instance.Recording.Accounts()
	for _, happening := range instance.Scenario {
		accounts = append(accounts, happening.Recording.Accounts()...)
	}
	return accounts
}

// Checked makes a world of a fixture, and checks its expressions and the values that scenarios
// set. The error is a *fixtures.Error, with the position, if the fixture was read from a file.
func Checked(f *fixtures.Fixture) (*World, error) {
	w, err := build(f)
	if err != nil {
		return nil, err
	}
	for _, instance := range w.Instances {
		if err := w.checkScenario(instance.Name, instance.Scenario); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *World) addAccount(f fixtures.ServiceAccount) {
	account := &ServiceAccount{
		Email:            f.Email,
		UniqueID:         f.UniqueID,
		DisplayName:      f.DisplayName,
		Description:      f.Description,
		Disabled:         f.Disabled,
		MaxTokenLifetime: time.Duration(f.MaxTokenLifetime),

		DomainWideDelegation: f.DomainWideDelegation,
	}
	if account.UniqueID == "" {
		account.UniqueID = inventedID(f.Email)
	}
	if account.MaxTokenLifetime == 0 {
		account.MaxTokenLifetime = DefaultTokenLifetime
	}
	for _, key := range f.PublicKeys {
		account.UploadedKeys = append(account.UploadedKeys, key.Key)
	}
	for id, state := range f.KeyStates {
		if account.KeyStates == nil {
			account.KeyStates = make(map[string]KeyState, len(f.KeyStates))
		}
		account.KeyStates[id] = KeyState(state)
	}
	if !f.DeleteTime.IsZero() {
		w.addDeleted(account, f.DeleteTime)
		return
	}
	w.Accounts = append(w.Accounts, account)
	w.accountsByID[strings.ToLower(account.Email)] = account
	w.accountsByID[account.UniqueID] = account
}

func (w *World) addUser(f fixtures.User) {
	user := &User{Email: f.Email, UniqueID: f.UniqueID, Name: f.Name, Posix: posixAccount(f), SSHKeys: f.SSHKeys}
	if user.UniqueID == "" {
		user.UniqueID = inventedID(f.Email)
	}
	w.Users = append(w.Users, user)
	w.usersByID[strings.ToLower(user.Email)] = user
	w.usersByID[user.UniqueID] = user
}

// User finds a user by their e-mail address, in any case, or their unique ID.
func (w *World) User(id string) (*User, bool) {
	user, ok := w.usersByID[strings.ToLower(id)]
	return user, ok
}

// Principal finds a service account or a user as a principal.
func (w *World) Principal(id string) (iam.Principal, bool) {
	if account, ok := w.Account(id); ok {
		return account.Principal(), true
	}
	if user, ok := w.User(id); ok {
		return user.Principal(), true
	}
	return iam.Principal{}, false
}

// Account finds a service account by its e-mail address, in any case, or its unique ID.
func (w *World) Account(id string) (*ServiceAccount, bool) {
	account, ok := w.accountsByID[id]
	if !ok {
		account, ok = w.accountsByID[strings.ToLower(id)]
	}
	if !ok && w.pods != nil {
		return w.pods.account(w, id)
	}
	return account, ok
}

// EmailOf returns the e-mail address of the service account with an ID. If there is no such
// account, it returns the ID itself.
func (w *World) EmailOf(id string) string {
	if account, ok := w.Account(id); ok {
		return account.Email
	}
	return id
}

// Instance finds an instance by its name. A pod of a cluster that is watched is an instance too.
func (w *World) Instance(name string) (*Instance, bool) {
	instance, ok := w.instancesByName[name]
	if !ok && w.pods != nil {
		return w.pods.instance(w, name)
	}
	return instance, ok
}

// DefaultInstance returns the first instance. It gets the requests that name no instance.
func (w *World) DefaultInstance() *Instance { return w.Instances[0] }
