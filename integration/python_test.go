package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type pythonToken struct {
	Value  string
	Expiry time.Time
}

type pythonReport struct {
	Version, ProjectID, DefaultType, Email, UniverseDomain string
	Default, KeyFile, Impersonated                         pythonToken
	IDToken, FetchedIDToken, KeyFileIDToken                string
	Verified                                               struct {
		Claims        map[string]any
		WrongAudience string
		Tampered      []string
	}
	KeyFileVerified, SelfSigned map[string]any
	Signature, OtherSignature   bool
}

// googleAuth finds the Python and the google-auth directory that come with gcloud.
func googleAuth(t *testing.T) (python, folder string) {
	t.Helper()
	gcloud, err := filepath.EvalSymlinks(lookPath(t, "gcloud", "google-auth for Python comes with gcloud:"))
	if err != nil {
		t.Fatal(err)
	}
	sdk := filepath.Dir(filepath.Dir(gcloud))
	folder = filepath.Join(sdk, "lib", "third_party")
	if _, err := os.Stat(filepath.Join(folder, "google", "auth")); err != nil {
		skip(t, "google-auth for Python does not come with this gcloud:", err)
	}
	python = filepath.Join(sdk, "platform", "bundledpythonunix", "bin", "python3")
	if _, err := os.Stat(python); err != nil {
		python = lookPath(t, "python3", "google-auth for Python:")
	}
	return python, folder
}

func runPython(t *testing.T, r *rig) pythonReport {
	t.Helper()
	python, folder := googleAuth(t)
	keyFile := filepath.Join(t.TempDir(), "key.json")
	return report[pythonReport](t, r.execWithKeyFile(t, keyFile,
		"env", "PYTHONPATH="+folder, "PYTHONDONTWRITEBYTECODE=1",
		python, "clients/python/client.py", keyFile, audience, targetAccount))
}

func TestPython(t *testing.T) {
	r := newRig(t)
	got := runPython(t, r)
	t.Log("google-auth", got.Version)

	t.Run("default credentials", func(t *testing.T) {
		if want := "google.auth.compute_engine.credentials.Credentials"; got.DefaultType != want {
			t.Errorf("credentials of type %s, want %s", got.DefaultType, want)
		}
		if got.ProjectID != projectID || got.Email != defaultAccount || got.UniverseDomain != "googleapis.com" {
			t.Errorf("project %q, account %q, universe %q", got.ProjectID, got.Email, got.UniverseDomain)
		}
		r.checkAccessToken(t, got.Default.Value, defaultAccount)
		checkExpiry(t, "access token", got.Default.Expiry)
	})
	t.Run("ID token", func(t *testing.T) {
		want := r.instanceClaims(t)
		r.checkIDToken(t, "IDTokenCredentials", got.IDToken, want)
		r.checkIDToken(t, "fetch_id_token", got.FetchedIDToken, want)
		checkPythonClaims(t, got.Verified.Claims, want)
		if !strings.Contains(got.Verified.WrongAudience, "Token has wrong audience") {
			t.Errorf("verify_token refused a token for another audience with %q", got.Verified.WrongAudience)
		}
		if len(got.Verified.Tampered) != 3 {
			t.Errorf("verify_token refused %d tampered tokens, want 3", len(got.Verified.Tampered))
		}
	})
	t.Run("key file", func(t *testing.T) {
		r.checkAccessToken(t, got.KeyFile.Value, workerAccount)
		checkExpiry(t, "access token", got.KeyFile.Expiry)
		want := r.grantedClaims(t, workerAccount)
		r.checkIDToken(t, "IDTokenCredentials", got.KeyFileIDToken, want)
		checkPythonClaims(t, got.KeyFileVerified, want)
	})
	t.Run("signatures", func(t *testing.T) {
		if !got.Signature || got.OtherSignature {
			t.Errorf("what the key signed: %v, something else: %v, want true and false", got.Signature, got.OtherSignature)
		}
		checkPythonClaims(t, got.SelfSigned, map[string]any{"iss": workerAccount, "sub": workerAccount, "aud": audience})
	})
	t.Run("impersonation", func(t *testing.T) {
		r.checkAccessToken(t, got.Impersonated.Value, targetAccount)
		checkExpiry(t, "access token", got.Impersonated.Expiry)
	})
}

// checkPythonClaims compares the claims in the library's results that are strings. Other tests
// check the rest.
func checkPythonClaims(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if text, ok := value.(string); ok && got[name] != text {
			t.Errorf("the library saw %s: %v, want %q", name, got[name], text)
		}
	}
}
