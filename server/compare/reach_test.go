package compare_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/script"
)

// Each rule about a metadata server is a rule of a request or a check for a server of some profile, so that a difference
// can name it. The exception is the rule about sizes: no test of a real server writes that much.
func TestEveryRuleCanBeNamed(t *testing.T) {
	t.Parallel()
	scripts := emulatortest.Must[[]script.Script](t)(script.Read(os.DirFS("../testdata/wire"), "mds.*.txtar"))
	named := map[string]bool{"sizes": true}
	for _, profile := range []fixtures.Profile{fixtures.GCE, fixtures.GKE, fixtures.CloudRun, fixtures.CloudFunctions, fixtures.AppEngine} {
		document := document(t, profile)
		for _, probe := range document.Probes(scripts, true) {
			if len(probe.Rules) == 0 {
				t.Errorf("%s: no rule stands behind %q", profile, probe.Request)
			}
			for _, rule := range probe.Rules {
				named[rule.Statement] = true
			}
		}
	}
	for _, wire := range scripts {
		for _, rule := range wire.Rules {
			if len(rule.Checks) == 0 && !slices.Contains(rule.Bases, script.Ours) && !named[rule.Statement] {
				t.Errorf("%s: no server can be found to break the rule %q", wire.Route, rule.Statement)
			}
		}
	}
}

// A request that is for several profiles shows the rules of the real server's profile.
func TestRulesOfProfile(t *testing.T) {
	t.Parallel()
	const token = "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=https://www.googleapis.com/auth/drive"
	scripts := emulatortest.Must[[]script.Script](t)(script.Read(os.DirFS("../testdata/wire"), "mds.*.txtar"))
	for _, test := range []struct {
		profile fixtures.Profile
		request string
		want    []string
	}{
		{fixtures.GCE, "GET /\n\n", []string{"`/` needs no header on a VM", "`/` is `computeMetadata/`, without `ETag`"}},
		{fixtures.GKE, "GET /\n\n", []string{"GKE's metadata server needs the header at `/` too"}},
		{fixtures.CloudRun, "GET /\n\n", []string{"Cloud Run's metadata server does not"}},
		{fixtures.CloudRun, token + "\nMetadata-Flavor: Google\n\n", []string{"Cloud Run, Cloud Functions and App Engine: a token has the requested scopes"}},
		{fixtures.GCE, token + "\nMetadata-Flavor: Google\n\n", []string{"`scopes` are ignored"}},
	} {
		var got []string
		for _, probe := range document(t, test.profile).Probes(scripts, false) {
			if probe.Request == test.request {
				for _, rule := range probe.Rules {
					got = append(got, rule.Statement)
				}
			}
		}
		if !slices.EqualFunc(got, test.want, strings.Contains) {
			t.Errorf("%s: %q shows %q, want %q", test.profile, test.request, got, test.want)
		}
	}
}

// A difference in a header field names the rule of the request about the field.
func TestRulesOfFields(t *testing.T) {
	t.Parallel()
	e := emulate(t, "instances: [{name: some-vm, profile: cloud-run}]")
	other := plant{spoil: func(_ string, a *script.Answer) { set(a, "Server", "Metadata Server for VM") }}
	report, err := compare.Run(t.Context(), options(t, "http://"+spoilt(t, e.Address, []plant{other})))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(report.Differences, func(d compare.Difference) bool { return d.Aspect == compare.FieldValue })
	if i < 0 || !strings.Contains(report.Differences[i].Rule, "`Server: Metadata Server for Serverless`") {
		t.Errorf("no difference names the rule: %+v", report.Differences)
	}
}

// document returns the document of a workload with everything that the variables of scripts name.
func document(t *testing.T, profile fixtures.Profile) *compare.Document {
	t.Helper()
	const text = `{"instance": {"attributes": {"a": "b"}, "serviceAccounts": {"default": {"email": "x@example.com"}}}, "project": {"attributes": {"c": "d"}}}`
	d := &compare.Document{Whole: json.RawMessage(text), Profile: profile}
	if err := json.Unmarshal(d.Whole, &d.Tree); err != nil {
		t.Fatal(err)
	}
	return d
}
