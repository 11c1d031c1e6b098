package world

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/fixtures/spelling"
)

var (
	// ErrNoAccount says that a service account does not exist, or was deleted.
	ErrNoAccount = errors.New("there is no such service account")
	// ErrReplaced means that a new service account has the e-mail address of a deleted account.
	ErrReplaced = errors.New("there is another service account of that name")
)

// undeletable is the time within which a deleted service account can be undeleted
// (https://cloud.google.com/iam/docs/service-accounts-delete-undelete).
const undeletable = 30 * 24 * time.Hour

// mostDeleted is the number of deleted service accounts that can be undeleted. If there are more,
// the account that was deleted first goes.
const mostDeleted = 1000

// deletedAccount is a service account that may be undeleted.
type deletedAccount struct {
	account *ServiceAccount
	at      time.Time
	keys    []string // the IDs of all keys that its e-mail address had then; nil: unknown
}

// AccountEmail returns the e-mail address of a service account in the project. For a
// domain-scoped project, example.com:demo, the address has demo.example.com.
func (p Project) AccountEmail(id string) string {
	name := p.ID
	if domain, project, scoped := strings.Cut(p.ID, ":"); scoped {
		name = project + "." + domain
	}
	return id + "@" + name + ".iam.gserviceaccount.com"
}

// Owns reports whether an e-mail address can only belong to a service account of the project.
func (p Project) Owns(email string) bool {
	_, domain, _ := strings.Cut(email, "@")
	_, own, _ := strings.Cut(p.AccountEmail(""), "@")
	return strings.EqualFold(domain, own) || email == p.ComputeAccount()
}

// ComputeAccount is the e-mail address of the Compute Engine default service account. It is the
// account of workloads without another account.
func (p Project) ComputeAccount() string { return fixtures.ComputeAccount(p.Number) }

// IsUniqueID reports whether id has the form of a unique ID, which tells it from an e-mail address: it
// consists of digits.
func IsUniqueID(id string) bool { return spelling.IsDigits(id) }

// NewUniqueID returns a unique ID for a new service account. It differs from the unique IDs of
// deleted accounts with the same e-mail address.
func (w *World) NewUniqueID(email string) string {
	for n := 0; ; n++ {
		id := inventedID(email)
		if n > 0 {
			id = inventedID(email + "#" + strconv.Itoa(n))
		}
		_, exists := w.accountsByID[id]
		if _, existed := w.deleted[id]; !exists && !existed {
			return id
		}
	}
}

// WithAccount returns a world with this service account. If there is an account with the same
// unique ID, the new account replaces it.
func (w *World) WithAccount(account *ServiceAccount) *World {
	edited := *w
	edited.Accounts = slices.Clone(w.Accounts)
	if i := edited.indexOf(account.UniqueID); i >= 0 {
		edited.Accounts[i] = account
	} else {
		edited.Accounts = append(edited.Accounts, account)
	}
	edited.accountsByID = maps.Clone(w.accountsByID)
	edited.accountsByID[strings.ToLower(account.Email)] = account
	edited.accountsByID[account.UniqueID] = account
	edited.attach(account)
	return &edited
}

// WithoutAccount returns a world in which a service account was deleted at this time. Policies keep
// it as a deleted member, and its instances get no tokens. keyIDs are the IDs of all keys of its
// e-mail address.
func (w *World) WithoutAccount(account *ServiceAccount, at time.Time, keyIDs ...string) *World {
	edited := *w
	edited.Accounts = slices.Clone(w.Accounts)
	if i := edited.indexOf(account.UniqueID); i >= 0 {
		edited.Accounts = slices.Delete(edited.Accounts, i, i+1)
	}
	edited.accountsByID = maps.Clone(w.accountsByID)
	delete(edited.accountsByID, strings.ToLower(account.Email))
	delete(edited.accountsByID, account.UniqueID)

	edited.deleted = maps.Clone(w.deleted)
	maps.DeleteFunc(edited.deleted, func(_ string, d deletedAccount) bool { return at.Sub(d.at) > undeletable })
	if edited.deleted == nil {
		edited.deleted = map[string]deletedAccount{}
	}
	if len(edited.deleted) >= mostDeleted {
		delete(edited.deleted, edited.firstDeleted())
	}
	edited.deleted[account.UniqueID] = deletedAccount{account: account, at: at, keys: keyIDs}

	edited.attach(account.shadow())
	edited.rename(account.Principal().Member(), account.deletedMember())
	return &edited
}

// Undeleted returns a world in which a service account exists again, with its former keys, if it
// was deleted less than 30 days ago. Newer keys of its e-mail address belong to accounts that had
// the address in the meantime. The error is ErrNoAccount, ErrReplaced, or an error of keyIDs.
func (w *World) Undeleted(
	uniqueID string, now time.Time, keyIDs func(*ServiceAccount) ([]string, error),
) (*World, *ServiceAccount, error) {
	gone, ok := w.deleted[uniqueID]
	if !ok || now.Sub(gone.at) > undeletable {
		return nil, nil, fmt.Errorf("%w: %q", ErrNoAccount, uniqueID)
	}
	if _, taken := w.Account(gone.account.Email); taken {
		return nil, nil, fmt.Errorf("%w: %q", ErrReplaced, gone.account.Email)
	}
	known, err := keyIDs(gone.account)
	if err != nil {
		return nil, nil, err
	}
	restored := *gone.account
	restored.KeyStates = maps.Clone(restored.KeyStates)
	if restored.KeyStates == nil {
		restored.KeyStates = map[string]KeyState{}
	}
	for _, id := range known {
		if gone.keys != nil && !slices.Contains(gone.keys, id) {
			restored.KeyStates[id] = KeyDeleted
		}
	}
	edited := w.WithAccount(&restored)
	edited.deleted = maps.Clone(w.deleted)
	delete(edited.deleted, uniqueID)
	edited.rename(gone.account.deletedMember(), gone.account.Principal().Member())
	return edited, &restored, nil
}

// shadow returns a copy of a deleted account, disabled, for the instances that run as it.
func (a *ServiceAccount) shadow() *ServiceAccount {
	shadow := *a
	shadow.Disabled = true
	return &shadow
}

// addDeleted adds a service account that was deleted.
func (w *World) addDeleted(account *ServiceAccount, at time.Time) {
	if w.deleted == nil {
		w.deleted = map[string]deletedAccount{}
	}
	w.deleted[account.UniqueID] = deletedAccount{account: account, at: at}
}

// attachable finds the account of an instance: by its unique ID if the fixture gives one, and
// otherwise by its address. A deleted account gets no tokens.
func (w *World) attachable(f fixtures.AttachedAccount) (*ServiceAccount, bool) {
	id := cmp.Or(f.UniqueID, f.Email)
	if account, ok := w.Account(id); ok {
		return account, true
	}
	gone, ok := w.deletedAccount(id)
	return gone.shadow(), ok
}

// deletedAccount finds a deleted account by its unique ID or address.
func (w *World) deletedAccount(id string) (*ServiceAccount, bool) {
	if gone, ok := w.deleted[id]; ok {
		return gone.account, true
	}
	return w.lastDeleted(id)
}

// lastDeleted finds the account with an address that was deleted last.
func (w *World) lastDeleted(email string) (*ServiceAccount, bool) {
	last := deletedAccount{account: &ServiceAccount{}}
	for _, gone := range w.deleted {
		if strings.EqualFold(gone.account.Email, email) && !gone.at.Before(last.at) {
			last = gone
		}
	}
	return last.account, last.account.Email != ""
}

// firstDeleted returns the unique ID of the account that was deleted first.
func (w *World) firstDeleted() string {
	return slices.MinFunc(slices.Collect(maps.Keys(w.deleted)), func(a, b string) int {
		return cmp.Or(w.deleted[a].at.Compare(w.deleted[b].at), cmp.Compare(a, b))
	})
}

func (w *World) indexOf(uniqueID string) int {
	return slices.IndexFunc(w.Accounts, func(a *ServiceAccount) bool { return a.UniqueID == uniqueID })
}

// attach makes the instances of a world under construction run as this version of an account.
func (w *World) attach(account *ServiceAccount) {
	same := func(a AttachedAccount) bool { return a.Account.UniqueID == account.UniqueID }
	for i, instance := range w.Instances {
		at := slices.IndexFunc(instance.ServiceAccounts, same)
		if at < 0 {
			continue
		}
		replaced := *instance
		replaced.ServiceAccounts = slices.Clone(instance.ServiceAccounts)
		replaced.ServiceAccounts[at].Account = account
		w.replaceInstance(i, &replaced)
	}
}

// replaceInstance replaces an instance of a world under construction. It copies the list and the
// index of instances first, because an earlier world may still use them.
func (w *World) replaceInstance(i int, instance *Instance) {
	w.Instances = slices.Clone(w.Instances)
	w.Instances[i] = instance
	w.instancesByName = maps.Clone(w.instancesByName)
	w.instancesByName[instance.Name] = instance
}

// deletedMember returns the name of a deleted account in policies
// (https://cloud.google.com/iam/docs/reference/rest/v1/Policy#Binding).
func (a *ServiceAccount) deletedMember() string {
	return "deleted:" + a.Principal().Member() + "?uid=" + a.UniqueID
}

// rename renames a member in every policy of a world under construction.
func (w *World) rename(member, to string) {
	policies := maps.Clone(w.policies)
	for id, policy := range w.policies {
		if renamed := policy.Renamed(member, to); renamed != policy {
			policies[id] = renamed
		}
	}
	w.policies = policies
}
