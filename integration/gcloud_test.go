package integration_test

import (
	"crypto/rsa"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// gcloudAccount is an entry of "gcloud auth list --format=json".
type gcloudAccount struct{ Account, Status string }

func newGcloudRig(t *testing.T) *rig {
	t.Helper()
	lookPath(t, "gcloud", "gcloud is not installed:")
	return newRig(t)
}

// gcloud runs a gcloud command and returns the single line that it printed.
func (r *rig) gcloud(t *testing.T, arguments ...string) string {
	t.Helper()
	return oneLine(t, r.exec(t, append([]string{"gcloud"}, arguments...)...))
}

func oneLine(t *testing.T, output []byte) string {
	t.Helper()
	line, rest, ended := strings.Cut(string(output), "\n")
	if !ended || rest != "" {
		t.Errorf("got %q, want one line", output)
	}
	return line
}

func TestGcloudOnAnInstance(t *testing.T) {
	r := newGcloudRig(t)
	t.Run("auth list", func(t *testing.T) {
		got := report[[]gcloudAccount](t, r.exec(t, "gcloud", "auth", "list", "--format=json"))
		if diff := cmp.Diff([]gcloudAccount{{defaultAccount, "ACTIVE"}}, got); diff != "" {
			t.Errorf("accounts (-want +got):\n%s", diff)
		}
	})
	t.Run("print-access-token", func(t *testing.T) {
		r.checkAccessToken(t, r.gcloud(t, "auth", "print-access-token"), defaultAccount)
	})
	t.Run("print-identity-token", func(t *testing.T) {
		token := r.gcloud(t, "auth", "print-identity-token", "--audiences="+audience, "--token-format=full")
		r.checkIDToken(t, "print-identity-token", token, r.instanceClaims(t))
	})
	t.Run("print-identity-token in the standard format", func(t *testing.T) {
		token := r.gcloud(t, "auth", "print-identity-token", "--audiences="+audience)
		r.checkIDToken(t, "print-identity-token", token, r.claims(t, defaultAccount, nil))
	})
}

func TestGcloudImpersonation(t *testing.T) {
	r := newGcloudRig(t)
	impersonate := "--impersonate-service-account=" + targetAccount
	t.Run("print-access-token", func(t *testing.T) {
		r.checkAccessToken(t, r.gcloud(t, "auth", "print-access-token", impersonate), targetAccount)
	})
	t.Run("print-identity-token", func(t *testing.T) {
		token := r.gcloud(t, "auth", "print-identity-token", impersonate, "--audiences="+audience, "--include-email")
		r.checkIDToken(t, "print-identity-token", token, r.claims(t, targetAccount, emailClaims(targetAccount)))
	})
	t.Run("print-identity-token without the e-mail address", func(t *testing.T) {
		token := r.gcloud(t, "auth", "print-identity-token", impersonate, "--audiences="+audience)
		r.checkIDToken(t, "print-identity-token", token, r.claims(t, targetAccount, nil))
	})
}

// TestGcloudChain impersonates an account through a chain of delegates under enforced policies.
// Without the chain it must fail.
func TestGcloudChain(t *testing.T) {
	r := newGcloudRig(t)
	strict := []string{"exec", "--strict", "--fixture", "testdata/chain.yaml", "--state-dir", r.state, "--"}
	printToken := func(chain string) []string {
		return append(strict, "gcloud", "auth", "print-access-token", "--impersonate-service-account="+chain)
	}
	t.Run("all the way", func(t *testing.T) {
		r.checkAccessToken(t, oneLine(t, r.run(t, printToken(workerAccount+","+targetAccount)...)), targetAccount)
	})
	t.Run("without the one between", func(t *testing.T) {
		printed, complained, err := r.try(t, printToken(targetAccount)...)
		if err == nil || !strings.Contains(string(complained), "Permission 'iam.serviceAccounts.getAccessToken' denied on resource") {
			t.Errorf("gcloud ended with %v, printed %q and said %s", err, printed, complained)
		}
	})
}

// TestGcloudFederation signs in with workload identity federation, as the federated principal and
// as an account that it impersonates.
func TestGcloudFederation(t *testing.T) {
	r := newGcloudRig(t)
	federate := func(t *testing.T, account string) (signedIn, accessToken string) {
		t.Helper()
		results := t.TempDir()
		r.exec(t, "sh", "clients/gcloud/federate.sh", r.stage.Emulator, account, results)
		read := func(name string) string {
			data, err := os.ReadFile(filepath.Join(results, name))
			if err != nil {
				t.Fatal(err)
			}
			return oneLine(t, data)
		}
		return read("account"), read("access-token")
	}
	t.Run("itself", func(t *testing.T) {
		account, token := federate(t, "-")
		const pool = "principal://iam.googleapis.com/projects/" + projectNumber + "/locations/global/workloadIdentityPools/demo-pool/subject/"
		if !strings.HasPrefix(account, pool) || !strings.HasPrefix(token, "ya29.d.") {
			t.Errorf("signed in as %q with token %.10s…, want a principal of %s", account, token, pool)
		}
	})
	t.Run("as a service account", func(t *testing.T) {
		account, token := federate(t, targetAccount)
		if account != targetAccount {
			t.Errorf("signed in as %q, want %q", account, targetAccount)
		}
		r.checkAccessToken(t, token, targetAccount)
	})
}

func TestGcloudKeyFile(t *testing.T) {
	r := newGcloudRig(t)
	results, keyFile := t.TempDir(), filepath.Join(t.TempDir(), "key.json")
	r.execWithKeyFile(t, keyFile, "sh", "clients/gcloud/activate.sh", keyFile, audience, results)
	result := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(results, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	got := report[[]gcloudAccount](t, result("accounts.json"))
	if diff := cmp.Diff([]gcloudAccount{{defaultAccount, ""}, {workerAccount, "ACTIVE"}}, got); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	r.checkAccessToken(t, oneLine(t, result("access-token")), workerAccount)
	r.checkIDToken(t, "print-identity-token", oneLine(t, result("identity-token")), r.grantedClaims(t, workerAccount))
}

func TestGcloudServiceAccounts(t *testing.T) {
	r := newGcloudRig(t)
	const email, member = "builder@demo-project.iam.gserviceaccount.com", "user:dev@example.com"
	results := t.TempDir()
	r.exec(t, "sh", "clients/gcloud/service-accounts.sh", "builder", email, member, targetAccount, results)
	result := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(results, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	accounts := decode[[]struct{ Email, DisplayName, UniqueID string }](t, result("accounts.json"))
	if !slices.ContainsFunc(accounts, func(a struct{ Email, DisplayName, UniqueID string }) bool {
		return a.Email == email && a.DisplayName == "Made by gcloud" && a.UniqueID != ""
	}) {
		t.Errorf("the account that was made is not listed: %+v", accounts)
	}
	key := decode[struct {
		ID string `json:"private_key_id"`
	}](t, result("key.json"))
	keys := decode[[]struct{ Name string }](t, result("keys.json"))
	if len(keys) != 1 || keys[0].Name != "projects/demo-project/serviceAccounts/"+email+"/keys/"+key.ID {
		t.Errorf("keys %+v, want the one of the key file, %s", keys, key.ID)
	}
	type policy struct {
		Bindings []struct {
			Role    string
			Members []string
		}
	}
	for _, name := range []string{"policy.json", "policy-read.json"} {
		got := decode[policy](t, result(name))
		if len(got.Bindings) != 1 || got.Bindings[0].Role != "roles/iam.serviceAccountTokenCreator" || !slices.Equal(got.Bindings[0].Members, []string{member}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := decode[policy](t, result("policy-empty.json")); len(got.Bindings) != 0 {
		t.Errorf("bindings are left: %+v", got)
	}
	published := r.jwks(t, "/service_accounts/v1/jwk/"+targetAccount)
	if claims, err := published.verify(strings.TrimSpace(string(result("jwt")))); err != nil || claims["sub"] != "a-user" {
		t.Errorf("the signed JWT: %v, %v", claims, err)
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(published)), func(key *rsa.PublicKey) bool {
		return verifySignature(key, result("claims.json"), result("signature")) == nil
	}) {
		t.Error("the signature of the blob is not the account's")
	}
	if got := string(result("number")) + string(result("instances")); got != projectNumber+"\n"+instanceName+"\n" {
		t.Errorf("project and instances: %q", got)
	}
	if token := oneLine(t, result("access-token")); !strings.HasPrefix(token, "ya29.c.") {
		t.Errorf("the key file gave the token %q", token)
	}
}

// decode decodes gcloud's output, ignoring members that the test does not need.
func decode[T any](t *testing.T, output []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(output, &value); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return value
}
