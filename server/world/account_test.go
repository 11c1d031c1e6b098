package world_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

const accounts = `
project: {id: demo-project}
serviceAccounts:
  - {email: first@demo-project.iam.gserviceaccount.com}
  - {email: second@demo-project.iam.gserviceaccount.com}
policies:
  - resource: project
    bindings: [{role: roles/viewer, members: ["serviceAccount:first@demo-project.iam.gserviceaccount.com", "serviceAccount:second@demo-project.iam.gserviceaccount.com"]}]
  - resource: serviceAccounts/first@demo-project.iam.gserviceaccount.com
    bindings: [{role: roles/iam.serviceAccountUser, members: ["allUsers"]}]
instances: [{name: vm, serviceAccounts: [{email: first@demo-project.iam.gserviceaccount.com}]}]
`

func find(t *testing.T, w *world.World, email string) *world.ServiceAccount {
	t.Helper()
	account, ok := w.Account(email)
	if !ok {
		t.Fatalf("there is no %s", email)
	}
	return account
}

func members(w *world.World) []string { return w.Policy(nil).Bindings[0].Members }

// A deleted account is in no part of the world, and after its undeletion it is as it was. Neither
// changes the earlier world.
func TestDeleteAndUndelete(t *testing.T) {
	t.Parallel()
	const first = "first@demo-project.iam.gserviceaccount.com"
	before := worldtest.Parse(t, accounts)
	account, now := find(t, before, first), time.Unix(1e9, 0)
	fresh := &world.ServiceAccount{Email: first, UniqueID: before.NewUniqueID(first)}
	gone := before.WithoutAccount(account, now)
	for _, id := range []string{first, account.UniqueID} {
		if _, ok := gone.Account(id); ok {
			t.Errorf("account %s still exists", id)
		}
		find(t, before, id)
	}
	deleted := "deleted:serviceAccount:" + first + "?uid=" + account.UniqueID
	second := "serviceAccount:second@demo-project.iam.gserviceaccount.com"
	if diff := cmp.Diff([]string{deleted, second}, members(gone)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if !gone.DefaultInstance().ServiceAccounts[0].Account.Disabled || before.DefaultInstance().ServiceAccounts[0].Account.Disabled {
		t.Error("the instance's account is not disabled, or is disabled in the earlier world")
	}

	again := gone.WithAccount(fresh)
	if fresh.UniqueID == account.UniqueID || again.NewUniqueID(first) == fresh.UniqueID {
		t.Error("two accounts have the same unique ID")
	}
	if again.May(fresh.Principal(), "iam.serviceAccounts.get", nil, time.Time{}) || !before.May(account.Principal(), "iam.serviceAccounts.get", nil, time.Time{}) {
		t.Error("an account with the same name has the roles of the deleted account, or that account had none")
	}
	if _, _, err := again.Undeleted(account.UniqueID, now, noKeys); !errors.Is(err, world.ErrReplaced) {
		t.Errorf("undeletion beside an account with the same name: %v", err)
	}
	if _, _, err := gone.Undeleted(account.UniqueID, now.AddDate(0, 0, 31), noKeys); !errors.Is(err, world.ErrNoAccount) {
		t.Errorf("undeletion after 31 days: %v", err)
	}

	back, restored, err := gone.Undeleted(account.UniqueID, now.AddDate(0, 0, 30), noKeys)
	if err != nil || restored.UniqueID != account.UniqueID {
		t.Fatalf("undeleted %v: %v", restored, err)
	}
	if diff := cmp.Diff([]string{"serviceAccount:" + first, second}, members(back)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if len(back.Policy(account).Bindings) != 1 || back.DefaultInstance().ServiceAccounts[0].Account != restored || len(back.Accounts) != len(before.Accounts) {
		t.Error("the undeleted account is not as it was")
	}
	if _, _, err := back.Undeleted(account.UniqueID, now, noKeys); !errors.Is(err, world.ErrNoAccount) {
		t.Errorf("second undeletion: %v", err)
	}
}

func TestWithAccount(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, accounts)
	edited := *find(t, w, "first@demo-project.iam.gserviceaccount.com")
	edited.Disabled = true
	next := w.WithAccount(&edited)
	if len(next.Accounts) != len(w.Accounts) || find(t, next, edited.UniqueID) != &edited || next.DefaultInstance().ServiceAccounts[0].Account != &edited {
		t.Error("the account was not replaced everywhere")
	}
	if find(t, w, edited.UniqueID).Disabled || w.DefaultInstance().ServiceAccounts[0].Account.Disabled {
		t.Error("the earlier world has changed")
	}
}

func TestWithPolicy(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, accounts)
	first := find(t, w, "first@demo-project.iam.gserviceaccount.com")
	policy := iam.NewPolicy([]iam.Binding{{Role: "roles/viewer", Members: []string{"user:a@example.com"}}})
	if next := w.WithPolicy(first, policy); next.Policy(first) != policy || w.Policy(first) == policy || next.Policy(nil) != w.Policy(nil) {
		t.Error("the account's policy was not replaced, or another policy was")
	}
	if next := w.WithPolicy(nil, policy); next.Policy(nil) != policy || next.Policy(first) != w.Policy(first) {
		t.Error("the project's policy was not replaced, or another policy was")
	}
}

func TestAccountEmail(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"demo": "a@demo.iam.gserviceaccount.com", "example.com:demo": "a@demo.example.com.iam.gserviceaccount.com",
	} {
		if got := (world.Project{ID: id}).AccountEmail("a"); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}

func noKeys(*world.ServiceAccount) ([]string, error) { return nil, nil }

func TestIsUniqueID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"112233445566778899000": true, "0": true, "": false, "a1": false, "1@example.com": false, "-1": false, "1.5": false, "١": false,
	} {
		if got := world.IsUniqueID(id); got != want {
			t.Errorf("IsUniqueID(%q) = %v", id, got)
		}
	}
}

// Deleted accounts are forgotten after 30 days, and earlier if there are very many.
func TestDeletedAccountsAreBounded(t *testing.T) {
	t.Parallel()
	const most = 1000
	w := worldtest.Parse(t, "project: {id: demo-project}\nserviceAccounts: []\n")
	begun := time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
	id := func(i int) string { return fmt.Sprintf("1%020d", i) }
	for i := range most + 10 {
		account := &world.ServiceAccount{Email: fmt.Sprintf("a%d@demo-project.iam.gserviceaccount.com", i), UniqueID: id(i)}
		w = w.WithAccount(account).WithoutAccount(account, begun.Add(time.Duration(i)*time.Second))
	}
	none := func(*world.ServiceAccount) ([]string, error) { return nil, nil }
	for i := range most + 10 {
		_, _, err := w.Undeleted(id(i), begun.Add(time.Hour), none)
		if isForgotten := errors.Is(err, world.ErrNoAccount); isForgotten != (i < 10) {
			t.Errorf("account %d: %v", i, err)
		}
	}
	if _, _, err := w.Undeleted(id(most), begun.Add(31*24*time.Hour), none); !errors.Is(err, world.ErrNoAccount) {
		t.Errorf("after 31 days: %v", err)
	}
}
