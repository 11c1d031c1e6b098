package iam_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/condition"
	"gcp-metadata-emulator/server/iam"
)

const pool = "projects/123/locations/global/workloadIdentityPools/ci"

func account(email string) iam.Principal {
	return iam.Principal{Kind: iam.KindServiceAccount, Email: email, ID: "1"}
}

func user(email string) iam.Principal {
	return iam.Principal{Kind: iam.KindUser, Email: email, ID: "2"}
}

func workload() iam.Principal {
	return iam.Principal{
		Kind: iam.KindFederated, ID: "repo:acme/app", Pool: pool,
		Groups: []string{"builders"}, Attributes: map[string]string{"repository": "acme/app"},
	}
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		principal iam.Principal
		member    string
		want      []string
	}{
		"service account": {
			account("Worker@demo.iam.gserviceaccount.com"), "serviceAccount:Worker@demo.iam.gserviceaccount.com",
			[]string{"serviceAccount:worker@demo.iam.gserviceaccount.com", "allAuthenticatedUsers", "allUsers"},
		},
		"user": {
			user("dev@Example.com"), "user:dev@Example.com",
			[]string{"user:dev@example.com", "domain:example.com", "allAuthenticatedUsers", "allUsers"},
		},
		"federated": {
			workload(), "principal://iam.googleapis.com/" + pool + "/subject/repo:acme/app",
			[]string{
				"principal://iam.googleapis.com/" + pool + "/subject/repo:acme/app",
				"principalSet://iam.googleapis.com/" + pool + "/*",
				"principalSet://iam.googleapis.com/" + pool + "/group/builders",
				"principalSet://iam.googleapis.com/" + pool + "/attribute.repository/acme/app",
				"allUsers",
			},
		},
		"unknown": {iam.Principal{}, "", []string{"allUsers"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, test.principal.Identities()); diff != "" {
				t.Errorf("identities (-want +got):\n%s", diff)
			}
			if got := test.principal.Member(); got != test.member {
				t.Errorf("member %q, want %q", got, test.member)
			}
		})
	}
}

func when(expression string) *iam.Condition {
	return &iam.Condition{Title: "t", Expression: expression}
}

// asked is the request that conditions see.
func asked() condition.Request {
	return condition.Request{
		Time: time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC), Resource: condition.Resource{Name: "projects/demo"},
	}
}

// question asks for a permission, with the predefined roles.
func question(permission string, identities ...string) iam.Question {
	return iam.Question{Permission: permission, Identities: identities, Roles: iam.NewRoles(), Request: asked}
}

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	good := iam.Binding{Role: "roles/browser", Members: []string{"user:a@b.example"}, Condition: when("true")}
	for want, bad := range map[string]iam.Binding{
		"binding 1: unexpected end of expression at column 8":                               {Role: "roles/browser", Condition: when("true &&")},
		"binding 1: a binding of a basic role cannot have a condition":                      {Role: "roles/owner", Condition: when("true")},
		"binding 1: a binding of allUsers or allAuthenticatedUsers cannot have a condition": {Role: "roles/browser", Members: []string{"allUsers"}, Condition: when("true")},
	} {
		policy := iam.NewPolicy([]iam.Binding{good, bad, {Role: "roles/browser", Condition: when("")}})
		err := policy.Check()
		if broken, ok := errors.AsType[*iam.BindingError](err); !ok || broken.Index != 1 || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if renamed := policy.Renamed("user:a@b.example", "user:c@b.example"); renamed == policy || fmt.Sprint(renamed.Check()) != want {
			t.Errorf("renamed: %v, want %s", renamed.Check(), want)
		}
	}
	policy := iam.NewPolicy([]iam.Binding{good}).Renamed("user:a@b.example", "user:c@b.example")
	if policy.Check() != nil || !policy.Grants(question("resourcemanager.projects.get", "user:c@b.example")) {
		t.Error("a renamed member lost what a condition grants")
	}
	if (*iam.Policy)(nil).Check() != nil {
		t.Error("no policy is wrong")
	}
}

func TestPolicyGrants(t *testing.T) {
	t.Parallel()
	groups := iam.NewGroups(map[string][]string{
		"team@example.com": {"user:DEV@example.com"},
		"all@example.com":  {"group:team@example.com", "group:all@example.com"}, // in itself, which must end
	})
	creator := "roles/iam.serviceAccountTokenCreator"
	for name, test := range map[string]struct {
		binding   iam.Binding
		principal iam.Principal
		want      bool
	}{
		"member":             {iam.Binding{Role: creator, Members: []string{"user:dev@example.com"}}, user("dev@example.com"), true},
		"member, other case": {iam.Binding{Role: creator, Members: []string{"user:Dev@Example.com"}}, user("dev@example.com"), true},
		"another":            {iam.Binding{Role: creator, Members: []string{"user:dev@example.com"}}, user("eve@example.com"), false},
		"another kind":       {iam.Binding{Role: creator, Members: []string{"user:dev@example.com"}}, account("dev@example.com"), false},
		"group in a group":   {iam.Binding{Role: creator, Members: []string{"group:all@example.com"}}, user("dev@example.com"), true},
		"not in the group":   {iam.Binding{Role: creator, Members: []string{"group:all@example.com"}}, user("eve@example.com"), false},
		"domain":             {iam.Binding{Role: creator, Members: []string{"domain:example.com"}}, user("dev@example.com"), true},
		"everybody":          {iam.Binding{Role: creator, Members: []string{"allUsers"}}, iam.Principal{}, true},
		"the authenticated":  {iam.Binding{Role: creator, Members: []string{"allAuthenticatedUsers"}}, iam.Principal{}, false},
		"federated set": {
			iam.Binding{Role: creator, Members: []string{"principalSet://iam.googleapis.com/" + pool + "/attribute.repository/acme/app"}},
			workload(), true,
		},
		"role without it": {iam.Binding{Role: "roles/iam.serviceAccountUser", Members: []string{"user:dev@example.com"}}, user("dev@example.com"), false},
		"owner":           {iam.Binding{Role: "roles/owner", Members: []string{"user:dev@example.com"}}, user("dev@example.com"), false},
		"custom role":     {iam.Binding{Role: "projects/demo/roles/mine", Members: []string{"user:dev@example.com"}}, user("dev@example.com"), false},
		"condition that holds": {
			iam.Binding{Role: creator, Members: []string{"user:dev@example.com"}, Condition: when(`resource.name == "projects/demo"`)},
			user("dev@example.com"), true,
		},
		"condition of later": {
			iam.Binding{Role: creator, Members: []string{"user:dev@example.com"}, Condition: when(`request.time > timestamp("2026-11-29T08:00:00Z")`)},
			user("dev@example.com"), false,
		},
		"condition and another role": {
			iam.Binding{Role: "roles/viewer2", Members: []string{"user:dev@example.com"}, Condition: when(`true`)},
			user("dev@example.com"), false,
		},
		"broken condition": {
			iam.Binding{Role: creator, Members: []string{"user:dev@example.com"}, Condition: when(`true &&`)},
			user("dev@example.com"), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := iam.NewPolicy([]iam.Binding{test.binding})
			asked := question(iam.GetAccessToken, groups.With(test.principal.Identities())...)
			if got := policy.Grants(asked); got != test.want {
				t.Errorf("granted: %t, want %t", got, test.want)
			}
			if explained := policy.Explain(asked); slices.ContainsFunc(explained, iam.Explanation.Grants) != test.want {
				t.Errorf("the explanation contradicts it: %+v", explained)
			}
		})
	}
	var none *iam.Policy
	if none.Grants(question(iam.GetAccessToken, "allUsers")) {
		t.Error("no policy grants something")
	}
}

func TestRolesThatMint(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"roles/iam.serviceAccountTokenCreator":       {iam.GetAccessToken, iam.GetOpenIDToken, iam.SignBlob, iam.SignJWT, iam.ImplicitDelegation},
		"roles/iam.serviceAccountOpenIdTokenCreator": {iam.GetOpenIDToken},
		"roles/iam.workloadIdentityUser":             {iam.GetAccessToken, iam.GetOpenIDToken},
		"roles/iam.serviceAccountUser":               nil,
		"roles/iam.serviceAccountAdmin":              nil,
		"roles/iam.serviceAccountKeyAdmin":           nil,
		"roles/owner":                                nil,
		"roles/editor":                               nil,
		"roles/viewer":                               nil,
	}
	for role, permissions := range want {
		var got []string
		for _, permission := range []string{iam.GetAccessToken, iam.GetOpenIDToken, iam.SignBlob, iam.SignJWT, iam.ImplicitDelegation} {
			if iam.Includes(role, permission) {
				got = append(got, permission)
			}
		}
		if diff := cmp.Diff(permissions, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", role, diff)
		}
	}
	for role, permission := range map[string]string{
		"roles/iam.serviceAccountKeyAdmin": "iam.serviceAccountKeys.create",
		"roles/editor":                     "iam.serviceAccounts.create",
		"roles/owner":                      "iam.serviceAccounts.setIamPolicy",
		"roles/iam.serviceAccountAdmin":    "iam.serviceAccounts.setIamPolicy",
		"roles/compute.viewer":             "compute.instances.list",
	} {
		if !iam.Includes(role, permission) {
			t.Errorf("%s lacks %s", role, permission)
		}
	}
	if iam.Includes("roles/editor", "iam.serviceAccounts.setIamPolicy") {
		t.Error("an editor may set policies")
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	custom := func(stage iam.Stage, deleted time.Time) *iam.Role {
		return &iam.Role{Name: "projects/demo/roles/signer", Stage: stage, DeleteTime: deleted, Permissions: []string{iam.SignBlob, iam.SignJWT}}
	}
	for name, test := range map[string]struct {
		role *iam.Role
		want bool
	}{
		"alpha":      {custom(iam.Alpha, time.Time{}), true},
		"deprecated": {custom(iam.Deprecated, time.Time{}), true},
		"disabled":   {custom(iam.Disabled, time.Time{}), false},
		"deleted":    {custom(iam.GA, time.Unix(1, 0)), false},
	} {
		roles := iam.NewRoles(test.role)
		if got := roles.Include(test.role.Name, iam.SignJWT); got != test.want {
			t.Errorf("%s: a role grants a permission that is in it: %t", name, got)
		}
		if roles.Include(test.role.Name, iam.GetAccessToken) || !roles.Include("roles/viewer", "compute.instances.get") {
			t.Errorf("%s: the roles grant what they do not have, or the predefined ones are gone", name)
		}
		if got := roles.Granting(iam.SignJWT); slices.Contains(got, test.role.Name) != test.want || got[len(got)-1] != "roles/iam.serviceAccountTokenCreator" {
			t.Errorf("%s: %q would do", name, got)
		}
	}
}

// The code that lists roles and permissions relies on the order.
func TestPredefined(t *testing.T) {
	t.Parallel()
	var names []string
	for _, role := range iam.Predefined() {
		names = append(names, role.Name)
		if role.Title == "" || role.Description == "" || role.Stage != iam.GA {
			t.Errorf("role %+v is not complete", role)
		}
		if sorted := slices.Compact(slices.Sorted(slices.Values(role.Permissions))); !slices.Equal(role.Permissions, sorted) || len(sorted) == 0 {
			t.Errorf("%s has the permissions %q", role.Name, role.Permissions)
		}
		for _, permission := range role.Permissions {
			if _, ok := slices.BinarySearch(iam.Permissions(), permission); !ok {
				t.Errorf("%s is not among all permissions", permission)
			}
		}
	}
	if sorted := slices.Compact(slices.Sorted(slices.Values(names))); !slices.Equal(names, sorted) {
		t.Errorf("roles are in the order %q", names)
	}
}

// Policies have the same etag if and only if they say the same.
func TestEtag(t *testing.T) {
	t.Parallel()
	policies := []*iam.Policy{
		iam.NewPolicy(nil),
		iam.NewPolicy([]iam.Binding{{Role: "roles/a", Members: []string{"user:x@y", "user:z@y"}}}),
		iam.NewPolicy([]iam.Binding{{Role: "roles/a", Members: []string{"user:z@y", "user:x@y"}}}),
		iam.NewPolicy([]iam.Binding{{Role: "roles/a", Members: []string{"user:x@y"}}, {Role: "roles/a", Members: []string{"user:z@y"}}}),
		iam.NewPolicy([]iam.Binding{{Role: "roles/a", Members: []string{"user:x@y", "user:z@y"}, Condition: &iam.Condition{Title: "t", Expression: "e"}}}),
	}
	seen := map[string]int{}
	for i, policy := range policies {
		etag := string(policy.Etag())
		if other, again := seen[etag]; again || etag != string(iam.NewPolicy(policy.Bindings).Etag()) {
			t.Errorf("policy %d has the etag of policy %d, or another one the second time", i, other)
		}
		seen[etag] = i
	}
	if string((*iam.Policy)(nil).Etag()) != "\x00\x20\x01" || len(policies[1].Etag()) != 8 {
		t.Error("the etags are not as long as Google's")
	}
}
