package server_test

import (
	"strings"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// A fault without an effect is not a hit, and remains for another request.
func TestFaultsThatStrikeNobody(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	values := wireValues(t, e)
	exchange := func(assertion string) string {
		return values.Replace("POST /token\n\ngrant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" + assertion)
	}
	metadata := func(path string) string { return "GET " + path + "\nMetadata-Flavor: Google\n\n" }
	for _, test := range []struct{ rule, inVain, struck string }{
		{`"route": "oauth2.token", "defect": "wrong-issuer"`, exchange("${assertion:good}"), exchange("${assertion:id-token}")},
		{`"route": "oauth2.token", "defect": "expired"`, exchange("nonsense"), exchange("${assertion:good}")},
		{
			`"route": "mds.identity", "defect": "missing-email"`,
			metadata(emulatortest.AttachedPath + "default/identity?audience=x"), metadata(emulatortest.AttachedPath + "default/identity?audience=x&format=full"),
		},
		{`"route": "mds.token", "defect": "revoked"`, metadata(emulatortest.AttachedPath + "nobody/token"), metadata(emulatortest.AttachedPath + "default/token")},
		{`"route": "mds.token", "defect": "revoked"`, "HEAD " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\n\n", metadata(emulatortest.AttachedPath + "default/token")},
		{`"route": "mds.*", "malformed": true`, "HEAD /\n\n", "GET /\n\n"},
		{`"route": "*", "withoutHeader": "WWW-Authenticate"`, "GET /\n\n", "POST /v1/projects/-/serviceAccounts/" + emulatortest.Worker + ":signBlob\n\n{}"},
		{`"route": "*", "withHeader": {"Metadata-Flavor": "Google"}`, "GET /\n\n", "GET /oauth2/v3/certs\n\n"},
		{`"route": "*", "withHeader": {"Content-Type": "application/json; charset=UTF-8"}`, "GET /oauth2/v3/certs\n\n", "GET /\n\n"},
		{`"route": "mds.*", "withHeader": {"Metadata-Flavor": "Other"}`, "GET /oauth2/v3/certs\n\n", "GET /\n\n"},
		{`"route": "mds.*", "withoutHeader": "Metadata-Flavor", "body": ""`, "GET /oauth2/v3/certs\n\n", "GET /\n\n"},
	} {
		added := e.Fail(t, "{"+test.rule+`, "times": 1}`)
		for want, request := range []string{test.inVain, test.struck} {
			got := e.Exchange(t, request)
			if hits := e.Hits(t, added); hits != want {
				t.Errorf("%s: %d hits, want %d, after the request\n%.150s\nwith the answer %d %.300s", test.rule, hits, want, request, got.Status, got.Body)
			}
			if seen := e.Last(t); (seen.Fault == added.ID) != (want == 1) {
				t.Errorf("%s: the journal has fault %q for %.150s", test.rule, seen.Fault, request)
			}
		}
		e.Faults.Clear()
	}
	const counted = `gcp_metadata_emulator_faults_total{route="oauth2.token"} 2`
	if got := e.Exchange(t, "GET /emulator/metrics\n\n"); !strings.Contains(got.Body, counted+"\n") {
		t.Errorf("metrics lack %s: %s", counted, got.Body)
	}
}
