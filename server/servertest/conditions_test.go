package servertest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/servertest"
	"gcp-metadata-emulator/server/token"
)

// conditional is a project whose bindings hold for some time, and for some accounts.
const conditional = `
project: {id: demo-project}
users: [{email: dev@example.com}, {email: admin@example.com}]
serviceAccounts:
  - email: app@demo-project.iam.gserviceaccount.com
  - email: other@demo-project.iam.gserviceaccount.com
policies:
  - resource: project
    bindings:
      - role: roles/iam.serviceAccountTokenCreator
        members: ["user:dev@example.com"]
        condition:
          title: the app until noon
          expression: >-
            request.time < timestamp("2026-11-29T12:00:00Z") && resource.type == "iam.googleapis.com/ServiceAccount"
            && resource.name.extract("/serviceAccounts/{name}@") == "app"
      - {role: roles/resourcemanager.projectIamAdmin, members: ["user:admin@example.com"]}
`

const (
	generate = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
	setIAM   = "https://cloudresourcemanager.googleapis.com/v1/projects/demo-project:setIamPolicy"
)

// post calls a Google API as a user, and returns the status and the body of the answer.
func post(t *testing.T, emu *servertest.Emulator, user, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+emu.Mint(servertest.Order{
		Kind: token.KindAccess, Account: user, Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"},
	}))
	request.Header.Set("Content-Type", "application/json")
	response, err := emu.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func TestBindingsExpire(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.YAML(conditional), servertest.Strict())
	emu.Freeze()
	emu.SetTime(time.Date(2026, time.November, 29, 11, 30, 0, 0, time.UTC))
	expect := func(when, account string, want int) {
		t.Helper()
		body := `{"scope": ["https://www.googleapis.com/auth/cloud-platform"]}`
		if got, answer := post(t, emu, "dev@example.com", generate+account+"@demo-project.iam.gserviceaccount.com:generateAccessToken", body); got != want {
			t.Errorf("%s, a token of %q is answered %d, want %d: %s", when, account, got, want, answer)
		}
	}
	expect("before noon", "app", http.StatusOK)
	expect("before noon", "other", http.StatusForbidden)
	emu.SetState(emu.State())
	expect("after a round trip of the state", "app", http.StatusOK)
	emu.Advance(30 * time.Minute)
	expect("at noon", "app", http.StatusForbidden)
	emu.SetTime(time.Date(2026, time.November, 29, 11, 59, 59, 0, time.UTC))
	expect("a second earlier", "app", http.StatusOK)
}

func TestConditionsOfPoliciesThatAreSet(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.YAML(conditional), servertest.Strict())
	before := string(emu.State())
	policy := func(role, member, expression string) string {
		return `{"policy": {"version": 3, "bindings": [{"role": "` + role + `", "members": ["` + member +
			`"], "condition": {"title": "t", "expression": "` + expression + `"}}]}}`
	}
	for want, body := range map[string]string{
		"Condition expression compilation failed: unexpected end of expression at column 8":                    policy("roles/browser", "user:dev@example.com", "true &&"),
		"LintValidationUnits/BindingRoleAllowConditionCheck Error: Conditions can't be set on primitive roles": policy("roles/owner", "user:dev@example.com", "true"),
		"Conditions can't be set on allUsers and allAuthenticatedUsers.":                                       policy("roles/browser", "allUsers", "true"),
		"Specified policy version (1) is not valid for a policy with conditions. Set it to 3.":                 strings.Replace(policy("roles/browser", "user:dev@example.com", "true"), "3", "1", 1),
	} {
		if status, answer := post(t, emu, "admin@example.com", setIAM, body); status != http.StatusBadRequest || !strings.Contains(answer, want) {
			t.Errorf("%s is answered %d: %s", body, status, answer)
		}
	}
	if after := string(emu.State()); after != before {
		t.Errorf("a refused policy is kept:\n%s", after)
	}
	const get = "https://cloudresourcemanager.googleapis.com/v1/projects/demo-project:getIamPolicy"
	if status, answer := post(t, emu, "dev@example.com", get, ""); status != http.StatusForbidden {
		t.Errorf("the policy is read without a permission: %d: %s", status, answer)
	}
	body := policy("roles/browser", "user:dev@example.com", "resource.name == 'projects/demo-project'")
	if status, answer := post(t, emu, "admin@example.com", setIAM, body); status != http.StatusOK {
		t.Fatalf("setIamPolicy is answered %d: %s", status, answer)
	}
	if status, answer := post(t, emu, "dev@example.com", get, ""); status != http.StatusOK || !strings.Contains(answer, "_withcond_") {
		t.Errorf("the condition does not hold, or is not hidden from version 1: %d: %s", status, answer)
	}
}

// A fixture with a broken expression is refused, however it comes.
func TestBrokenExpressionsAreRefused(t *testing.T) {
	t.Parallel()
	broken := strings.Replace(conditional, "request.time <", "request.tim <", 1)
	const want = `policies[0].bindings[0].condition.expression: there is no attribute "request.tim" at column 1`
	test := &refusing{TB: t}
	func() {
		defer func() { _ = recover() }()
		servertest.New(test, servertest.YAML(broken))
	}()
	if !strings.Contains(test.said, "the fixture:14:23: "+want) {
		t.Errorf("as a fixture: %q", test.said)
	}
	test = &refusing{TB: t}
	emu := servertest.New(test)
	before := string(emu.State())
	func() {
		defer func() { _ = recover() }()
		emu.SetState([]byte(broken))
	}()
	if !strings.Contains(test.said, "body:14:23: "+want+"; hint: the attributes of a condition are ") || string(emu.State()) != before {
		t.Errorf("as a state: %q", test.said)
	}
}
