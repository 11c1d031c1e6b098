package condition_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/condition"
)

const claims = `{
	"sub": "repo:octo/app:ref:refs/heads/main", "repository": "octo/app", "run_attempt": "2", "email": "a@b.example",
	"email_verified": true, "n": 7, "nothing": null, "aud": ["x"], "namespace_id": 12345678,
	"groups": ["gcp-allowed", "ops"], "support": ["STABLE", "BETA"], "nested": {"a": {"b": "deep"}}, "a-b": "dashed",
	"arn": "arn:aws:sts::123:assumed-role/admin/session"
}`

func decoded(t testing.TB) map[string]any {
	t.Helper()
	var decoded map[string]any
	if err := json.Unmarshal([]byte(claims), &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

func TestMapping(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		expression string
		want       any
	}{
		{`assertion.sub`, "repo:octo/app:ref:refs/heads/main"},
		{`assertion['sub']`, "repo:octo/app:ref:refs/heads/main"},
		{`assertion["a-b"]`, "dashed"},
		{`assertion.nested["a"].b`, "deep"},
		{`"user:" + assertion.email`, "user:a@b.example"},
		{`'it\'s ' + "a \"q\" \u00e9" + r"\d" + """ x """`, `it's a "q" é\d x `},
		{`assertion.repository.split('/')[1]`, "app"},
		{`assertion.sub.upperAscii()`, "REPO:OCTO/APP:REF:REFS/HEADS/MAIN"},
		{`assertion.groups.filter(g, g.startsWith('gcp-'))[0]`, "gcp-allowed"},
		{`assertion.groups.join(",")`, "gcp-allowed,ops"},
		{`assertion.groups.map(g, g.lowerAscii()).join()`, "gcp-allowedops"},
		{`assertion.sub.replace("octo", "acme").substring(5, 13)`, "acme/app"},
		{`string(int(assertion.run_attempt) * 10 - 1) + "%"`, "19%"},
		{`string(assertion.namespace_id)`, "1.2345678e+07"}, // JSON has no integers
		{`string(int(assertion.namespace_id))`, "12345678"},
		{`{"main": "prod"}[assertion.sub.extract("refs/heads/{branch}")]`, "prod"},
		{`assertion.email_verified ? assertion.email : "nobody"`, "a@b.example"},
		{`has(assertion.missing) ? assertion.missing : "default"`, "default"},
		// https://cloud.google.com/iam/docs/workload-identity-federation-with-other-clouds
		{`assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') + 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn`, "arn:aws:sts::123:assumed-role/admin"},
		{`assertion.sub.extract("refs/heads/{branch}")`, "main"},
		{`assertion.sub.extract("tags/{tag}")`, ""},
		{`assertion.sub.extract("repo:{repo}@")`, ""},
		{`assertion.missing`, nil},
		{`assertion.nothing`, nil},
		{`assertion.groups[2]`, nil},
		{`assertion.n.lowerAscii()`, nil},
	} {
		mapping, err := condition.NewMapping("attribute.x", test.expression)
		if err != nil {
			t.Errorf("%s: %v", test.expression, err)
			continue
		}
		if diff := cmp.Diff(test.want, mapping.Value(decoded(t))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.expression, diff)
		}
	}
	groups, err := condition.NewMapping("google.groups", `assertion.groups + ["x"].filter(g, true)`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"gcp-allowed", "ops", "x"}, groups.Value(decoded(t))); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		`assertion.groups.exists(g, g == 'gcp-allowed') && ['STABLE'].all(a, a in assertion.support) && int(assertion.run_attempt) < 3`: true,
		`assertion.repository == 'octo/app'`:                                    true,
		`assertion.repository != 'octo/app'`:                                    false,
		`'admins' in google.groups`:                                             true,
		`"x" in google.groups || google.subject.endsWith("main")`:               true,
		`attribute.branch == "main" && !("tag" in attribute)`:                   true,
		`attribute.missing == "main"`:                                           false,
		`has(attribute.missing) || has(google.groups)`:                          true,
		`assertion.sub.startsWith("repo:octo/")`:                                true,
		`assertion.sub.matches("^repo:[a-z]+/app:")`:                            true,
		`assertion.n == 7 && assertion.n < 8 && assertion.n >= 7.0`:             true,
		`size(assertion.groups) == 2 && "é".size() == 1`:                        true,
		`assertion.groups.exists_one(g, g == "ops")`:                            true,
		`assertion.email_verified`:                                              true,
		`assertion.email`:                                                       false, // is not a boolean
		`assertion.missing || true`:                                             true,
		`assertion.missing && true`:                                             false,
		`"x" in assertion.aud && type(assertion.n) == double && 5 % 3 == 2`:     true,
		`timestamp("2026-01-01T00:00:00Z") < timestamp("2026-01-02T00:00:00Z")`: true,
	} {
		compiled, err := condition.NewAttributes(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := compiled.Accepts(condition.Principal{
			Claims: decoded(t), Subject: "refs/heads/main", Groups: []string{"admins"}, Attributes: map[string]string{"branch": "main"},
		}); got != want {
			t.Errorf("%s is %t, want %t", expression, got, want)
		}
	}
}

// The first examples of each group come from Google's reference.
func TestBinding(t *testing.T) {
	t.Parallel()
	request := condition.Request{
		Time: time.Date(2026, 11, 29, 8, 30, 0, 0, time.UTC), // a Sunday
		Resource: condition.Resource{
			Service: "iam.googleapis.com", Type: "iam.googleapis.com/ServiceAccount",
			Name: "projects/demo/serviceAccounts/app@demo.iam.gserviceaccount.com",
		},
	}
	for expression, want := range map[string]bool{
		// https://cloud.google.com/iam/docs/configuring-temporary-access
		`request.time < timestamp("2026-11-30T00:00:00.000Z")`:                                                      true,
		`request.time < timestamp("2026-11-29T08:30:00Z")`:                                                          false,
		`request.time >= timestamp("2026-11-01T00:00:00Z") && request.time < timestamp("2026-12-01T00:00:00Z")`:     true,
		`request.time < timestamp("2026-11-29T00:00:00Z") + duration("9h")`:                                         true,
		`request.time.getHours("Europe/Berlin") >= 9 && request.time.getHours("Europe/Berlin") <= 17`:               true,
		`request.time.getDayOfWeek("Europe/Berlin") >= 1 && request.time.getDayOfWeek("Europe/Berlin") <= 5`:        false,
		`request.time.getFullYear() == 2026 && request.time.getMonth() == 10 && request.time.getDayOfMonth() == 28`: true,
		`request.time.getDate() == 29 && request.time.getMinutes() == 30 && request.time.getSeconds() == 0`:         true,
		`request.time.getHours("Nowhere/AtAll") == 8`:                                                               false,
		`request.time > date("2026-11-29") && request.time < date("2026-11-30")`:                                    true,
		`request.time < date("tomorrow")`:                                                                           false,
		// https://cloud.google.com/iam/docs/configuring-resource-based-access
		`resource.type == "iam.googleapis.com/ServiceAccount" && resource.service == "iam.googleapis.com"`:                    true,
		`resource.type == 'compute.googleapis.com/Disk' && resource.name.endsWith('backup')`:                                  false,
		`resource.name.startsWith("projects/demo/serviceAccounts/app@")`:                                                      true,
		`resource.type != "iam.googleapis.com/ServiceAccount" || resource.name.startsWith("projects/demo/serviceAccounts/x")`: false,
		`resource.name.extract("serviceAccounts/{name}@") == "app"`:                                                           true,
		`resource.name.extract("/zones/{zone}/") == ""`:                                                                       true,
		// https://cloud.google.com/iam/docs/conditions-attribute-reference
		`api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/pubsub.editor'])`: true,
		`api.getAttribute("storage.googleapis.com/objectListPrefix", "").startsWith("x")`:                  false,
		`["a", "b"].hasOnly(["a"])`: false,
		`resource.matchTag("123456789012/env", "prod") || resource.hasTagKeyId("tagKeys/1")`:              false,
		`!resource.matchTagId("tagKeys/1", "tagValues/2") && !resource.hasTagKey("123/env")`:              true,
		`!compute.isForwardingRuleCreationOperation() || compute.matchLoadBalancingSchemes(["INTERNAL"])`: true,
		// Attributes for which the emulator has no value
		`"accessPolicies/1/accessLevels/corp" in request.auth.access_levels`:                        false,
		`request.host == "x" || destination.port == 22 || resource.service == "iam.googleapis.com"`: true,
		`!(destination.ip == "10.0.0.1" || request.path == "/")`:                                    false,
		"request.time\n  < timestamp('2027-01-01T00:00:00Z')":                                       true,
	} {
		compiled, err := condition.NewBinding(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := compiled.Holds(request); got != want {
			t.Errorf("%s is %t, want %t", expression, got, want)
		}
	}
}

// An evaluation is limited in cost: an expression that costs too much has no value.
func TestCostIsBounded(t *testing.T) {
	t.Parallel()
	for name, expression := range map[string]string{
		"nested loops":    `[1,2,3,4,5,6,7,8,9,10]` + strings.Repeat(`.map(a, [1,2,3,4,5,6,7,8,9,10]`, 8) + strings.Repeat(`)`, 8) + `.size() == 10 ? "x" : "y"`,
		"growing text":    `["x"]` + strings.Repeat(`.map(a, a + a)`, 60) + `[0]`,
		"growing replace": `"x"` + strings.Repeat(`.replace("", "xxxxxxxxx")`, 60),
		"growing list":    `["x"]` + strings.Repeat(`.map(a, a + "y" + a)`, 60) + `.join()`,
	} {
		mapping, err := condition.NewMapping("google.subject", expression)
		if err != nil {
			continue // an expression that is refused costs nothing either
		}
		if value := mapping.Value(decoded(t)); value != nil {
			t.Errorf("%s has a value of %d bytes", name, len(value.(string)))
		}
	}
}
