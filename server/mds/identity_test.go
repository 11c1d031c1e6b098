package mds_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world/worldtest"
)

const accountPath = "/computeMetadata/v1/instance/service-accounts/default/"

// Only VMs' ID tokens describe the instance. Whether tokens contain an e-mail address by
// default depends on the profile.
func TestIdentityOfProfiles(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const app = "demo-project@appspot.gserviceaccount.com"
	type claims struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
		Google   any    `json:"google"`
	}
	for _, test := range []struct {
		instance, query string
		want            claims
	}{
		{"other-vm", "", claims{}},
		{"annotated-pod", "", claims{Email: emulatortest.Worker, Verified: true}},
		{"annotated-pod", "&format=full&licenses=TRUE", claims{Email: emulatortest.Worker, Verified: true}},
		{"service", "", claims{}},
		{"service", "&format=full", claims{Email: emulatortest.Default, Verified: true}},
		{"function", "&format=standard", claims{}},
		{"app", "&format=full&licenses=TRUE", claims{Email: app, Verified: true}},
	} {
		t.Run(test.instance+test.query, func(t *testing.T) {
			t.Parallel()
			jwt := e.MustRead(t, test.instance, accountPath+"identity?audience=https://a.example.com"+test.query)
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			var got claims
			if err := json.Unmarshal(payload, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

// The licenses parameter accepts TRUE and other spellings.
func TestLicenses(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	for value, want := range map[string]bool{
		"": false, "TRUE": true, "true": true, "True": true, "1": true, "FALSE": false, "false": false, "0": false, "x": false,
	} {
		jwt := e.MustRead(t, "other-vm", accountPath+"identity?format=full&audience=x&licenses="+value)
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(payload), `"license_id":["2147286739765738111"]`); got != want {
			t.Errorf("licenses=%s: %s", value, payload)
		}
	}
}

// VMs have scopes, and requests can reduce them. Elsewhere a token has the requested scopes.
func TestScopesOfProfiles(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const drive, email = "https://www.googleapis.com/auth/drive", "https://www.googleapis.com/auth/userinfo.email"
	for _, test := range []struct{ instance, query, want string }{
		{"demo-vm", "", emulatortest.Platform + " " + email},
		{"demo-vm", "?scopes=" + drive, emulatortest.Platform + " " + email},
		{"demo-vm", "?scopes=" + email + "&enforce_scopes=true", email},
		{"demo-vm", "?enforce_scopes=true", emulatortest.Platform + " " + email},
		{"other-vm", "?scopes=" + emulatortest.Platform, emulatortest.Platform},
		{"full-vm", "?scopes=" + drive, emulatortest.Platform},
		{"pod", "", emulatortest.Platform},
		{"pod", "?scopes=" + drive, drive},
		{"annotated-pod", "?scopes=" + drive + "," + email, drive + " " + email},
		{"service", "?scopes=" + drive + "&enforce_scopes=true", drive},
		{"function", "?scopes=" + email, email},
		{"app", "", emulatortest.Platform},
	} {
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(e.MustRead(t, test.instance, accountPath+"token"+test.query)), &answer); err != nil {
			t.Fatal(err)
		}
		var info map[string]string
		e.CallJSON(t, http.MethodGet, "/tokeninfo?access_token="+answer.AccessToken, "", &info)
		if info["scope"] != test.want {
			t.Errorf("%s%s has scopes %q, want %q", test.instance, test.query, info["scope"], test.want)
		}
	}
}

// Workload Identity: a pod's token may impersonate a service account only if a policy names its
// Kubernetes service account.
func TestWorkloadIdentity(t *testing.T) {
	t.Parallel()
	described := worldtest.Parse(t, `
policies:
  - resource: serviceAccounts/target@demo-project.iam.gserviceaccount.com
    bindings: [{role: roles/iam.workloadIdentityUser, members: ["serviceAccount:demo-project.svc.id.goog[prod/web]"]}]
instances:
  - {name: bound, profile: gke, kubernetesServiceAccount: prod/web, serviceAccounts: []}
  - {name: unbound, profile: gke, kubernetesServiceAccount: test/web, serviceAccounts: []}
`)
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) { config.World = described })
	impersonated, _ := described.Account(emulatortest.Target)
	other, _ := described.Account(emulatortest.Worker)
	for instance, want := range map[string]bool{"bound": true, "unbound": false} {
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(e.MustRead(t, instance, accountPath+"token")), &answer); err != nil {
			t.Fatal(err)
		}
		access, err := token.NewIssuer(e.Keys, emulatortest.Noon).Bearer(described, answer.AccessToken, "iamcredentials.googleapis.com")
		if err != nil {
			t.Fatalf("%s: %v", instance, err)
		}
		const permission = "iam.serviceAccounts.getAccessToken"
		if got := described.May(access.Principal, permission, impersonated, emulatortest.Noon()); got != want {
			t.Errorf("%s: %+v may impersonate the account: %v", instance, access.Principal, got)
		}
		if described.May(access.Principal, permission, other, emulatortest.Noon()) {
			t.Errorf("%s: %+v may impersonate another account", instance, access.Principal)
		}
	}
}
