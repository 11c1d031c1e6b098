package sts_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
)

const samlType = "urn:ietf:params:oauth:token-type:saml2"

// samlRig returns a rig at the time of the response in the testdata of package saml, and the
// response. It is for a provider called prov, which has these settings too.
func samlRig(t *testing.T, settings string) (*rig, string) {
	t.Helper()
	r := newRigOf(t, "project: {id: my-project, number: 7}\n"+
		"workloadIdentityPools:\n  - id: pool\n    providers:\n      - {id: prov, "+settings+"}\n")
	r.now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	response, err := os.ReadFile("saml/testdata/response.xml")
	if err != nil {
		t.Fatal(err)
	}
	return r, string(response)
}

func samlForm(document string) url.Values {
	return exchangeForm(base64.StdEncoding.EncodeToString([]byte(document)), url.Values{"subject_token_type": {samlType}})
}

const signOn = `saml: {entityId: "https://idp.example.com/metadata", certificateFile: idp.pem}`

func TestSAMLPrincipals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings string
		want     iam.Principal
	}{
		"the default mapping": {signOn, iam.Principal{ID: "dev@example.com"}},
		"a mapping": {
			signOn + `, attributeMapping: {google.subject: "assertion.subject", google.groups: "assertion.attributes['team']", attribute.team: "assertion.attributes['team'][0]"}` +
				`, attributeCondition: "'core' in assertion.attributes['team']"`,
			iam.Principal{ID: "dev@example.com", Groups: []string{"core"}, Attributes: map[string]string{"team": "core"}},
		},
	} {
		r, response := samlRig(t, test.settings)
		test.want.Kind, test.want.Pool = iam.KindFederated, pool
		access, fields := r.granted(t, r.exchange(samlForm(response)))
		if diff := cmp.Diff(test.want, access.Principal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if fields["expires_in"] != 1799.0 {
			t.Errorf("%s: it expires in %v, and the assertion in half an hour", name, fields["expires_in"])
		}
	}
}

func TestSAMLRefusals(t *testing.T) {
	t.Parallel()
	grant := func(description string) string { return failure("invalid_grant", description) }
	for name, test := range map[string]struct {
		settings string
		change   func(response string) string
		later    time.Duration
		want     string
	}{
		"tampered": {
			settings: signOn, change: func(response string) string { return strings.Replace(response, "dev@", "root@", 1) },
			want: grant("Unable to verify the SAML assertion signature."),
		},
		"stale":          {settings: signOn, later: time.Hour, want: grant("The SAML assertion is stale to sign-in.")},
		"another issuer": {settings: strings.Replace(signOn, "idp.", "other.", 1), want: grant("The issuer in the SAML assertion does not match the expected one in config.")},
		"no XML":         {settings: signOn, change: func(string) string { return "x" }, want: grant("Unable to parse the SAML assertion.")},
		"a condition": {
			settings: signOn + `, attributeCondition: "assertion.subject == 'root'"`,
			want:     failure("unauthorized_client", "The given credential is rejected by the attribute condition."),
		},
		"a provider of JWTs": {
			settings: `issuer: "https://idp.example.com"`, want: failure("invalid_request", "Invalid subject_token_type for the identity provider: "+samlType),
		},
	} {
		r, response := samlRig(t, test.settings)
		r.now = r.now.Add(test.later)
		if test.change != nil {
			response = test.change(response)
		}
		if diff := cmp.Diff(answer{http.StatusBadRequest, test.want}, r.exchange(samlForm(response)), cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
