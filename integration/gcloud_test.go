package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// gcloudAccount is a line of "gcloud auth list --format=json".
type gcloudAccount struct{ Account, Status string }

func newGcloudRig(t *testing.T) *rig {
	t.Helper()
	lookPath(t, "gcloud", "gcloud is not installed:")
	return newRig(t)
}

// gcloud runs one gcloud command and returns the line that it printed.
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

// TestGcloudChain impersonates through a chain of delegates under enforced policies, and in vain without the chain.
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
