package iamadmin_test

import (
	"net/http"
	"slices"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// What belongs to a deleted account is worth nothing, neither after it was deleted nor to
// another one of the same name; when it is brought back everything is as it was.
func TestAccountLifecycle(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewStrict(t)
	bearers := e.Bearers(t)
	e.SetProjectRole(t, "roles/editor", "caller")
	ask := func(method, path, body string) string {
		t.Helper()
		return e.Invoke(t, bearers["caller"], method+" "+emulatortest.AccountsPath+path, body, nil)
	}
	expect := func(want, got string) {
		t.Helper()
		if got != want {
			t.Errorf("status %s, want %s", got, want)
		}
	}
	spends := func() string {
		t.Helper()
		return e.Invoke(t, bearers["target"], "POST /v1/projects/demo-project:testIamPermissions", "{}", nil)
	}
	target, id := "/"+emulatortest.Email("target"), "/100000000000000000004"
	expect("OK", spends())
	expect("OK", ask(http.MethodPost, target+":disable", ""))
	expect("UNAUTHENTICATED", spends())
	expect("OK", ask(http.MethodPost, id+":enable", ""))
	expect("OK", spends())
	expect("OK", ask(http.MethodDelete, target, ""))
	expect("UNAUTHENTICATED", spends())
	expect("NOT_FOUND", ask(http.MethodGet, target, ""))
	expect("OK", ask(http.MethodPost, "", `{"accountId":"target"}`))
	expect("ALREADY_EXISTS", ask(http.MethodPost, "", `{"accountId":"target"}`))
	expect("UNAUTHENTICATED", spends())
	expect("FAILED_PRECONDITION", ask(http.MethodPost, id+":undelete", ""))
	expect("OK", ask(http.MethodDelete, target, ""))
	expect("OK", ask(http.MethodPost, id+":undelete", ""))
	expect("OK", spends())
}

// Pages have every account once, also where emulatortest.AttachedPath go between one page and the next.
func TestPages(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	count := len(e.World().State.Accounts)
	var seen []string
	next := ""
	for pages := 0; pages == 0 || next != ""; pages++ {
		var list struct {
			Accounts      []struct{ Email string }
			NextPageToken string
		}
		e.Invoke(t, "x", "GET "+emulatortest.AccountsPath+"?pageSize=3&pageToken="+next, "", &list)
		for _, account := range list.Accounts {
			seen = append(seen, account.Email)
			e.Do(t, "DELETE "+emulatortest.AccountsPath+"/"+account.Email, "")
		}
		next = list.NextPageToken
	}
	if len(seen) != count || !slices.IsSorted(seen) || len(slices.Compact(seen)) != len(seen) {
		t.Errorf("of %d accounts the pages had %d: %q", count, len(seen), seen)
	}
}

// Under --strict each method takes its permission. An account that does not exist is told only to a
// caller who may read accounts.
func TestPermissions(t *testing.T) {
	t.Parallel()
	account := func(name string) string { return emulatortest.AccountsPath + "/" + emulatortest.Email(name) }
	emulatortest.CheckAllowed(t, []emulatortest.Method{ // in an order in which none spoils another
		{Name: "list", Call: "GET " + emulatortest.AccountsPath},
		{Name: "create", Call: "POST " + emulatortest.AccountsPath, Body: `{"accountId":"created"}`},
		{Name: "get", Call: "GET " + account("target")},
		{Name: "get nobody", Call: "GET " + account("nobody")},
		{Name: "patch", Call: "PATCH " + account("target"), Body: `{"serviceAccount":{},"updateMask":"displayName"}`},
		{Name: "getIamPolicy", Call: "POST " + account("target") + ":getIamPolicy"},
		{Name: "list keys", Call: "GET " + account("target") + "/keys"},
		{Name: "create key", Call: "POST " + account("target") + "/keys", Body: `{"keyAlgorithm":"KEY_ALG_RSA_1024"}`},
		{Name: "setIamPolicy", Call: "POST " + account("target") + ":setIamPolicy", Body: `{"policy":{}}`},
		{Name: "disable", Call: "POST " + account("target") + ":disable", Body: "{}"},
		{Name: "delete", Call: "DELETE " + account("target")},
	}, map[string][]string{
		"roles/iam.serviceAccountViewer":   {"list", "get", "get nobody", "getIamPolicy", "list keys"},
		"roles/iam.serviceAccountKeyAdmin": {"list", "get", "get nobody", "list keys", "create key"},
		"roles/iam.serviceAccountAdmin":    {"list", "create", "get", "get nobody", "patch", "getIamPolicy", "setIamPolicy", "disable", "delete"},
		"roles/compute.viewer":             nil,
		"roles/iam.securityAdmin":          {"list", "get", "get nobody", "getIamPolicy", "setIamPolicy"},
	})
}
