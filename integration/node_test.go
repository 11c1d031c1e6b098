package integration_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// needNode skips a test, with a message, if its client cannot run.
func needNode(t *testing.T, prepared stage) {
	t.Helper()
	switch {
	case prepared.BadNode != "":
		t.Fatal(prepared.BadNode)
	case prepared.NoNode != "":
		skip(t, prepared.NoNode)
	}
}

// checkWithNode verifies ID tokens once more, with a program in another language and without
// dependencies.
func (r *rig) checkWithNode(t *testing.T, token string) {
	t.Helper()
	if r.stage.Node == "" {
		t.Log("NOT VERIFIED by Node: ", r.stage.NoNode, r.stage.BadNode)
		return
	}
	claims := report[[]map[string]any](t, r.exec(t, r.stage.Node, nodeFolder+"/verify.mjs", audience, token))
	if len(claims) != 1 || claims[0]["aud"] != audience {
		t.Errorf("verify.mjs: got %v", claims)
	}
}

type refusal struct {
	Message string
	Status  *int
}

type nodeReport struct {
	Metadata struct {
		IsAvailable, AnswersPing                                bool
		ProjectID, NumericProjectID, InstanceID, Name, Hostname string
		Zone, Email, UniverseDomain, Attribute                  string
		Everything                                              struct {
			ID, BulkID, BulkName, Text string
			Folders                    []string
		}
		ServiceAccount struct {
			Aliases, Scopes []string
			Email           string
		}
		Missing refusal
	}
	Client, ProjectID, AccessToken, Authorization, IDToken string
	ExpiryDate                                             int64
	Verified                                               struct {
		Payload       map[string]any
		WrongAudience refusal
		Tampered      []refusal
	}
	ImpersonatedAccessToken, ImpersonatedIDToken string
	Signature                                    []byte
	Hosts                                        []string
}

func TestNode(t *testing.T) {
	needNode(t, theStage())
	r := newRig(t)
	got := report[nodeReport](t, r.exec(t, r.stage.Node, nodeFolder+"/client.mjs", audience, targetAccount))

	t.Run("gcp-metadata", func(t *testing.T) { checkNodeMetadata(t, r, got) })
	t.Run("access token", func(t *testing.T) {
		if got.Client != "Compute" || got.ProjectID != projectID {
			t.Errorf("client %q of project %q, want Compute of %q", got.Client, got.ProjectID, projectID)
		}
		r.checkAccessToken(t, got.AccessToken, defaultAccount)
		checkExpiry(t, "access token", time.UnixMilli(got.ExpiryDate))
		if got.Authorization != "Bearer "+got.AccessToken {
			t.Errorf("requests carry %.30q…, want the token", got.Authorization)
		}
	})
	t.Run("ID token", func(t *testing.T) {
		want := r.instanceClaims(t)
		r.checkIDToken(t, "getIdTokenClient", got.IDToken, want)
		checkNodeVerification(t, got, want)
	})
	t.Run("impersonation", func(t *testing.T) {
		r.checkAccessToken(t, got.ImpersonatedAccessToken, targetAccount)
		// If the library requests the e-mail address, it expects azp to be that address.
		r.checkIDToken(t, "Impersonated", got.ImpersonatedIDToken, r.grantedClaims(t, targetAccount))
	})
	t.Run("sign", func(t *testing.T) {
		for _, key := range r.certificates(t, "/service_accounts/v1/metadata/x509/"+defaultAccount) {
			if verifySignature(key, []byte("bytes that a client wants signed"), got.Signature) == nil {
				return
			}
		}
		t.Errorf("no key of %s made the signature", defaultAccount)
	})
	t.Run("no other host", func(t *testing.T) {
		if want := []string{"127.0.0.1"}; !slices.Equal(got.Hosts, want) {
			t.Errorf("connected to %q, want %q", got.Hosts, want)
		}
	})
}

func checkNodeMetadata(t *testing.T, r *rig, got nodeReport) {
	t.Helper()
	var instance struct{ ID json.Number }
	r.fetch(t, "/computeMetadata/v1/instance/?recursive=true", &instance)
	want := got.Metadata
	want.IsAvailable, want.AnswersPing = true, true
	want.ProjectID, want.NumericProjectID = projectID, projectNumber
	want.InstanceID, want.Name = instance.ID.String(), instanceName
	want.Hostname = "demo-vm.us-central1-a.c.demo-project.internal"
	want.Zone = "projects/" + projectNumber + "/zones/" + zone
	want.Email, want.UniverseDomain = defaultAccount, "googleapis.com"
	want.Attribute = "hello"
	want.Everything.ID, want.Everything.BulkID, want.Everything.BulkName = want.InstanceID, want.InstanceID, instanceName
	want.Everything.Folders, want.Everything.Text = []string{"attributes/", "numeric-project-id", "project-id", ""}, "greeting hello\n"
	want.ServiceAccount.Aliases, want.ServiceAccount.Scopes = []string{"default"}, []string{cloudPlatform}
	want.ServiceAccount.Email = defaultAccount
	if diff := cmp.Diff(want, got.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if missing := got.Metadata.Missing; missing.Status == nil || *missing.Status != 404 {
		t.Errorf("an attribute that nobody set: %+v, want 404", missing)
	}
}

func checkNodeVerification(t *testing.T, got nodeReport, want map[string]any) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if text, ok := want[name].(string); ok && got.Verified.Payload[name] != text {
			t.Errorf("verifyIdToken: %s is %v, want %q", name, got.Verified.Payload[name], text)
		}
	}
	if !strings.Contains(got.Verified.WrongAudience.Message, "Wrong recipient, payload audience != requiredAudience") {
		t.Errorf("verifyIdToken refused a token for another audience with %q", got.Verified.WrongAudience.Message)
	}
	if len(got.Verified.Tampered) != 3 {
		t.Errorf("verifyIdToken refused %d tampered tokens, want 3", len(got.Verified.Tampered))
	}
}

// TestLockFile checks that installations are reproducible: exact versions, and no registry
// addresses.
func TestLockFile(t *testing.T) {
	var manifest struct{ Dependencies map[string]string }
	var lock struct {
		Packages map[string]struct{ Version, Resolved, Integrity string }
	}
	for name, into := range map[string]any{"package.json": &manifest, "package-lock.json": &lock} {
		data, err := os.ReadFile(filepath.Join(nodeFolder, name))
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, version := range manifest.Dependencies {
		if locked := lock.Packages["node_modules/"+name].Version; locked != version {
			t.Errorf("%s: package.json says %q, the lock file %q", name, version, locked)
		}
	}
	for name, locked := range lock.Packages {
		if locked.Resolved != "" || name != "" && locked.Integrity == "" {
			t.Errorf("%s: resolved %q, integrity %q, want no address and a hash", name, locked.Resolved, locked.Integrity)
		}
	}
}
