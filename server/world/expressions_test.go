package world_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
)

// A broken expression is refused where it stands in the file: at the mistake, if the text is
// written on one line, and at its beginning otherwise.
func TestExpressionsAreChecked(t *testing.T) {
	t.Parallel()
	const provider = "workloadIdentityPools:\n  - id: pool\n    providers:\n      - id: prov\n        issuer: https://example.com\n        "
	const binding = "policies:\n  - resource: project\n    bindings:\n      - role: roles/browser\n        condition:\n          title: t\n          expression: "
	for text, want := range map[string]string{
		provider + "attributeMapping: {google.subject: assertion.sub.strip()}": `6:58: workloadIdentityPools[0].providers[0].attributeMapping."google.subject": there is no function "strip" at column 15`,
		provider + `attributeMapping: {google.subject: "assertion."}`:          `6:55: workloadIdentityPools[0].providers[0].attributeMapping."google.subject": unexpected end of expression at column 11`,
		provider + "attributeCondition: claims.a == 'b'":                       `6:29: workloadIdentityPools[0].providers[0].attributeCondition: unknown name "claims" at column 1`,
		binding + "request.tim < 1":                                            `7:23: policies[0].bindings[0].condition.expression: there is no attribute "request.tim" at column 1`,
		binding + "true && resource.nam == 'x'":                                `7:31: policies[0].bindings[0].condition.expression: there is no attribute "resource.nam" at column 9`,
		binding + "'true && ''a'' == 1'":                                       `7:23: policies[0].bindings[0].condition.expression: operator == is not defined for a string and a number at column 13`,
		binding + "|\n            true &&\n              bad":                  `7:23: policies[0].bindings[0].condition.expression: unknown name "bad" at line 2, column 3`,
		binding + "resource.name":                                              `7:23: policies[0].bindings[0].condition.expression: the expression is a string, and must be a boolean at column 1`,
		strings.Replace(binding, "browser", "owner", 1) + "'true'":             `7:23: policies[0].bindings[0].condition.expression: a binding of a basic role cannot have a condition`,
		"groups: []\npolicies:\n  - {resource: project, bindings: [{role: roles/browser, condition: &c {title: t, expression: oops}}]}\n" +
			"  - {resource: project, bindings: [{role: roles/browser, condition: *c}]}\n": `3:95: policies[0].bindings[0].condition.expression: unknown name "oops" at column 1`,
	} {
		f, err := fixtures.Parse("f.yaml", []byte(text), "")
		if err != nil {
			t.Errorf("%s\n%v", text, err)
			continue
		}
		_, err = world.Checked(f)
		mistake, ok := errors.AsType[*fixtures.Error](err)
		if got := fmt.Sprint(err); got != "f.yaml:"+want || !ok || !strings.Contains(mistake.Excerpt, "^") {
			t.Errorf("%s\n%s, want\nf.yaml:%s", text, got, want)
		}
	}
}

// A fixture that a program makes is checked as one that is read.
func TestExpressionsOfProgramsAreChecked(t *testing.T) {
	t.Parallel()
	many := map[string]string{"google.subject": "assertion.sub"}
	for i := range 51 {
		many[fmt.Sprintf("attribute.a%d", i)] = "assertion.sub"
	}
	withBinding := fixtures.Default()
	withBinding.Policies = append(withBinding.Policies, fixtures.Policy{Resource: "project", Bindings: []fixtures.Binding{
		{Role: "roles/browser"}, {Role: "roles/browser", Members: []string{"allUsers"}, Condition: &fixtures.Condition{Title: "t", Expression: "true"}},
	}})
	for want, f := range map[string]*fixtures.Fixture{
		`workloadIdentityPools[0].providers[0].attributeMapping."google.subject": unexpected end of expression at column 11`: federated(fixtures.WorkloadIdentityProvider{
			AttributeMapping: map[string]string{"google.subject": "assertion."},
		}),
		`workloadIdentityPools[0].providers[0].attributeMapping: 51 custom attributes are mapped; at most 50 can be mapped`: federated(fixtures.WorkloadIdentityProvider{AttributeMapping: many}),
		`workloadIdentityPools[0].providers[0].attributeCondition: unknown name "claims" at column 1`: federated(fixtures.WorkloadIdentityProvider{
			AttributeCondition: "claims.a",
		}),
		`policies[1].bindings[1].condition.expression: a binding of allUsers or allAuthenticatedUsers cannot have a condition`: withBinding,
	} {
		if _, err := world.Checked(f); fmt.Sprint(err) != want {
			t.Errorf("%v, want\n%s", err, want)
		}
		// A condition that was never checked grants nothing.
		w := world.New(f)
		for _, pool := range w.Pools {
			if who, err := pool.Providers[0].Principal(pool, map[string]any{"sub": "s"}); strings.Contains(want, "column") && err == nil {
				t.Errorf("%s: a token of %v is accepted", want, who)
			}
		}
		if w.May(iam.Principal{}, "resourcemanager.projects.get", nil, time.Time{}) {
			t.Errorf("%s: everybody may read the project", want)
		}
	}
}
