package iamroles_test

import (
	"slices"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// Under --strict each method takes its permission. Google's own roles are for everybody to see.
func TestPermissions(t *testing.T) {
	t.Parallel()
	emulatortest.CheckAllowed(t, []emulatortest.Method{
		{Name: "list", Call: "GET /v1/projects/demo-project/roles"},
		{Name: "get", Call: "GET /v1/roles/viewer"},
	}, map[string][]string{
		"roles/iam.roleViewer":           {"list", "get"},
		"roles/iam.securityReviewer":     {"list", "get"},
		"roles/iam.serviceAccountViewer": {"get"},
		"roles/run.invoker":              {"get"},
	})
}

// A custom role goes through its life, and a caller has its permissions at each moment.
func TestCustomRole(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewStrict(t)
	owner, eve := e.Bearers(t)["owner"], e.Bearers(t)["eve"]
	may := func() bool {
		var answer struct{ Permissions []string }
		e.Invoke(t, eve, "POST /v1/projects/demo-project:testIamPermissions", `{"permissions": ["iam.roles.list"]}`, &answer)
		return slices.Contains(answer.Permissions, "iam.roles.list")
	}
	do := func(call, body string) { e.Invoke(t, owner, call, body, new(any)) }
	const role = "/v1/projects/demo-project/roles/lister"
	do("POST /v1/projects/demo-project/roles", `{"roleId": "lister", "role": {"title": "Lister", "includedPermissions": ["iam.roles.list"]}}`)
	if may() {
		t.Error("a role gives a permission before it is bound")
	}
	do("POST /v1/projects/demo-project:setIamPolicy", `{"policy": {"bindings": [{"role": "roles/owner", "members": ["user:owner@example.com"]},
		{"role": "projects/demo-project/roles/lister", "members": ["user:eve@example.com"]}]}}`)
	for _, step := range []struct {
		call, body string
		may        bool
	}{
		{"GET " + role, "", true},
		{"PATCH " + role + "?updateMask=includedPermissions", `{"includedPermissions": ["iam.roles.get"]}`, false},
		{"PATCH " + role + "?updateMask=includedPermissions", `{"includedPermissions": ["iam.roles.list"]}`, true},
		{"DELETE " + role, "", false},
		{"POST " + role + ":undelete", "{}", true},
		{"PATCH " + role + "?updateMask=stage", `{"stage": "DISABLED"}`, false},
	} {
		do(step.call, step.body)
		if got := may(); got != step.may {
			t.Errorf("after %s: %v", step.call, got)
		}
	}
}

// testIamPermissions says that a role is not known, in place of a silent no.
func TestUnknownRole(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewStrict(t)
	owner, eve := e.Bearers(t)["owner"], e.Bearers(t)["eve"]
	e.Invoke(t, owner, "POST /v1/projects/demo-project:setIamPolicy", `{"policy": {"bindings": [{"role": "roles/owner", "members": ["user:owner@example.com"]},
		{"role": "roles/browsr", "members": ["user:eve@example.com"]}]}}`, new(any))
	e.Invoke(t, eve, "POST /v1/projects/demo-project:testIamPermissions", `{"permissions": ["resourcemanager.projects.get"]}`, new(any))
	const want = `the emulator does not know the role "roles/browsr" in the policy of "projects/demo-project", so that it gives no permission`
	if seen := e.Last(t); seen.Status != 200 || seen.Code != "unknown-role" || seen.Reason != want || seen.Hint != `did you mean "roles/browser"?` {
		t.Errorf("%+v", seen)
	}
}
