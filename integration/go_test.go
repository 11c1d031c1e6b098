package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// accessToken is an access token as the Go libraries return it.
type accessToken struct {
	Value, Type string
	Expiry      time.Time
}

// goAccess holds access tokens of one account from two libraries.
type goAccess struct {
	Auth, OAuth2              accessToken
	ProjectID, UniverseDomain string
}

// goIdentity holds ID tokens of one account from two libraries, and the results of Google's
// validator.
type goIdentity struct {
	Auth, API  string
	Validation goValidation
}

type goValidation struct {
	Issuer, Audience, Subject string
	WrongAudience             string
	Tampered                  []string
}

func (r *rig) checkGoAccess(t *testing.T, got goAccess, account string) {
	t.Helper()
	for library, token := range map[string]accessToken{"auth": got.Auth, "x/oauth2": got.OAuth2} {
		if token.Type != "Bearer" {
			t.Errorf("%s: token of type %q", library, token.Type)
		}
		checkExpiry(t, library, token.Expiry)
		r.checkAccessToken(t, token.Value, account)
	}
	if got.UniverseDomain != "googleapis.com" {
		t.Errorf("universe domain %q", got.UniverseDomain)
	}
}

func (r *rig) checkGoIdentity(t *testing.T, got goIdentity, want map[string]any) {
	t.Helper()
	r.checkIDToken(t, "auth", got.Auth, want)
	r.checkIDToken(t, "api", got.API, want)
	checkGoValidation(t, got.Validation, want)
}

// checkGoValidation checks the validator's results for a valid token, for a token with another
// audience, and for three tampered tokens.
func checkGoValidation(t *testing.T, got goValidation, claims map[string]any) {
	t.Helper()
	if got.Issuer != claims["iss"] || got.Audience != claims["aud"] || got.Subject != claims["sub"] {
		t.Errorf("the validator saw %+v, want %v", got, claims)
	}
	if !strings.Contains(got.WrongAudience, "audience provided does not match") {
		t.Errorf("the validator refused a token for another audience with %q", got.WrongAudience)
	}
	if len(got.Tampered) != 3 {
		t.Errorf("the validator refused %d tampered tokens, want 3", len(got.Tampered))
	}
}

func TestGoMetadata(t *testing.T) {
	type metadata struct {
		OnGCE                                                           bool
		ProjectID, NumericProjectID, InstanceID, InstanceName, Hostname string
		Zone, Email, UniverseDomain, NotDefined                         string
		Scopes, InstanceTags                                            []string
		InstanceAttributes, ProjectAttributes                           map[string]string
	}
	r := newRig(t)
	t.Run("the default world", func(t *testing.T) {
		got := report[metadata](t, r.exec(t, r.stage.GoCloud, "metadata"))
		if len(got.InstanceID) < 18 || strings.Trim(got.InstanceID, "0123456789") != "" {
			t.Errorf("instance ID %q, want a number as long as Google's", got.InstanceID)
		}
		got.InstanceID = ""
		want := metadata{
			OnGCE:              true,
			ProjectID:          projectID,
			NumericProjectID:   projectNumber,
			InstanceName:       instanceName,
			Hostname:           "demo-vm.us-central1-a.c.demo-project.internal",
			Zone:               zone,
			Email:              defaultAccount,
			UniverseDomain:     "googleapis.com",
			NotDefined:         "instance/attributes/nobody-set-this",
			Scopes:             []string{cloudPlatform},
			InstanceTags:       []string{},
			InstanceAttributes: map[string]string{},
			ProjectAttributes:  map[string]string{},
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
	})
	t.Run("a world from a file", func(t *testing.T) {
		got := report[metadata](t, r.execWith(t, []string{"--fixture", "testdata/world.yaml"}, r.stage.GoCloud, "metadata"))
		want := metadata{
			OnGCE:              true,
			ProjectID:          "another-project",
			NumericProjectID:   "987654321098",
			InstanceID:         "4815162342481516234",
			InstanceName:       "app-1",
			Hostname:           "app-1.europe-west1-b.c.another-project.internal",
			Zone:               "europe-west1-b",
			Email:              "app@another-project.iam.gserviceaccount.com",
			UniverseDomain:     "googleapis.com",
			NotDefined:         "instance/attributes/nobody-set-this",
			Scopes:             []string{"https://www.googleapis.com/auth/devstorage.read_only", "https://www.googleapis.com/auth/logging.write"},
			InstanceTags:       []string{"http-server", "web"},
			InstanceAttributes: map[string]string{"greeting": "hello, world", "empty": ""},
			ProjectAttributes:  map[string]string{"enable-oslogin": "TRUE"},
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
	})
}

// A subscription gets each value once, the end of the attribute, and nothing else.
func TestGoSubscribe(t *testing.T) {
	r := newRig(t)
	got := report[[]string](t, r.exec(t, r.stage.GoCloud, "watch"))
	if diff := cmp.Diff([]string{"one true", "two true", " false"}, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestGuestAgent(t *testing.T) {
	r := newRig(t)
	got := report[struct{ Greetings, ETags []string }](t, r.exec(t, r.stage.GoCloud, "agent"))
	if diff := cmp.Diff([]string{"", "hello", "hello"}, got.Greetings); diff != "" {
		t.Errorf("the attribute was (-want +got):\n%s", diff)
	}
	if len(got.ETags) != 3 || got.ETags[0] == "" || got.ETags[0] == got.ETags[1] || got.ETags[1] != got.ETags[2] {
		t.Errorf("the ETags were %q, want another after the change, and the same after the time was over", got.ETags)
	}
}

func TestGoDefaultCredentials(t *testing.T) {
	r := newRig(t)
	t.Run("access token", func(t *testing.T) {
		got := report[goAccess](t, r.exec(t, r.stage.GoCloud, "access"))
		r.checkGoAccess(t, got, defaultAccount)
		if got.ProjectID != projectID {
			t.Errorf("project %q, want %q", got.ProjectID, projectID)
		}
	})
	t.Run("ID token", func(t *testing.T) {
		got := report[goIdentity](t, r.exec(t, r.stage.GoCloud, "identity", audience))
		r.checkGoIdentity(t, got, r.instanceClaims(t))
	})
	t.Run("with nothing kept on disk", func(t *testing.T) {
		got := report[goIdentity](t, r.run(t, "exec", "--ephemeral", "--", r.stage.GoCloud, "identity", audience))
		checkGoValidation(t, got.Validation, r.instanceClaims(t))
		if left, err := os.ReadDir(r.home); err != nil || len(left) > 0 {
			t.Errorf("left in the home directory: %v, %v", left, err)
		}
	})
}

func TestGoKeyFile(t *testing.T) {
	r := newRig(t)
	keyFile := filepath.Join(t.TempDir(), "key.json")
	got := report[struct {
		Access   goAccess
		Identity goIdentity
	}](t, r.execWithKeyFile(t, keyFile, r.stage.GoCloud, "keyfile", keyFile, audience))
	r.checkGoAccess(t, got.Access, workerAccount)
	if got.Access.ProjectID != projectID {
		t.Errorf("project %q, want %q", got.Access.ProjectID, projectID)
	}
	r.checkGoIdentity(t, got.Identity, r.grantedClaims(t, workerAccount))
	if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v, want that only its owner may read it", info.Mode(), err)
	}
}

func TestGoImpersonatedFile(t *testing.T) {
	r := newRig(t)
	keyFile := filepath.Join(t.TempDir(), "key.json")
	got := report[goAccess](t, r.execWithKeyFile(t, keyFile, r.stage.GoCloud, "impersonated", keyFile, targetAccount))
	r.checkGoAccess(t, got, targetAccount)
}
