package guard_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/journal"
)

// why holds the journal's fields about a refusal.
type why struct {
	Caller, Reason string
	Missing        *journal.Missing
}

// Audit answers as off does, and says in the journal and the log what enforce says in the journal and
// refuses. Off says nothing. The fixture decides if nobody else does.
func TestModes(t *testing.T) {
	t.Parallel()
	calls := map[string]struct {
		bearer, status string // the status is that of enforce
		want           why
	}{
		"allowed": {"caller", "OK", why{}},
		"no role": {"eve", "PERMISSION_DENIED", why{
			"user:eve@example.com", `"user:eve@example.com" lacks iam.serviceAccounts.getAccessToken on "projects/demo-project/serviceAccounts/far@demo-project.iam.gserviceaccount.com"`,
			&journal.Missing{
				Permission: "iam.serviceAccounts.getAccessToken", Resource: "projects/demo-project/serviceAccounts/far@demo-project.iam.gserviceaccount.com",
				Roles: []string{"roles/iam.workloadIdentityUser", "roles/iam.serviceAccountTokenCreator"},
			},
		}},
		"scope": {"drive", "PERMISSION_DENIED", why{
			Caller: "serviceAccount:caller@demo-project.iam.gserviceaccount.com",
			Reason: `the token of "serviceAccount:caller@demo-project.iam.gserviceaccount.com" has the scopes ["https://www.googleapis.com/auth/drive"], none of which "iamcredentials.googleapis.com" accepts`,
		}},
		"unknown token": {"unknown", "UNAUTHENTICATED", why{Reason: `the credential is not valid for "iamcredentials.googleapis.com": the token was not issued by this emulator: not a token made with this secret`}},
		"boundary": {"bounded", "PERMISSION_DENIED", why{
			Caller: "serviceAccount:caller@demo-project.iam.gserviceaccount.com",
			Reason: `the token of "serviceAccount:caller@demo-project.iam.gserviceaccount.com" has an access boundary, with which it is good for Cloud Storage only`,
		}},
	}
	for name, mode := range map[string]struct {
		asked         guard.Mode
		strict        bool // in the fixture
		refuses, says bool
	}{
		"off":                       {guard.Off, false, false, false},
		"off beats the fixture":     {guard.Off, true, false, false},
		"audit":                     {guard.Audit, false, false, true},
		"audit beats the fixture":   {guard.Audit, true, false, true},
		"enforce":                   {guard.Enforce, false, true, true},
		"nothing asked":             {"", false, false, false},
		"the fixture asks for more": {"", true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs bytes.Buffer
			e := emulatortest.NewOf(t, emulatortest.StrictFixture(t), func(config *server.Config) {
				config.IAM, config.Logger = mode.asked, slog.New(slog.NewTextHandler(&logs, nil))
				config.World.Strict = mode.strict
			})
			bearers := e.Bearers(t)
			for transport, generate := range e.Transports() {
				for name, call := range calls {
					logs.Reset()
					account := "far"
					if name == "allowed" {
						account = "target"
					}
					status, want := "OK", why{}
					if mode.refuses {
						status = call.status
					}
					if mode.says {
						want = call.want
					}
					if got := generate(t, bearers[call.bearer], emulatortest.Email(account)); got.Status != status {
						t.Errorf("%s, %s: %s, want %s", transport, name, got.Status, status)
					}
					last := e.Last(t)
					if diff := cmp.Diff(want, why{last.Caller, last.Reason, last.Missing}); diff != "" {
						t.Errorf("%s, %s: the journal (-want +got):\n%s", transport, name, diff)
					}
					if (last.Hint != "") != (want.Reason != "") {
						t.Errorf("%s, %s: hint %q", transport, name, last.Hint)
					}
					message := `msg="request would be refused"`
					if mode.refuses {
						message = `msg="request refused"`
					}
					if logged := strings.Contains(logs.String(), message); logged != (want.Reason != "") || logs.Len() > 0 != logged {
						t.Errorf("%s, %s: the log says %q", transport, name, logs.String())
					}
				}
			}
		})
	}
}

// testIamPermissions asks without being refused: in audit it answers as off does, and says nothing.
func TestAuditOfAQuestion(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewOf(t, emulatortest.StrictFixture(t), func(config *server.Config) { config.IAM = guard.Audit })
	var answer struct{ Permissions []string }
	e.Invoke(t, e.Bearers(t)["eve"], "POST /v1/projects/demo-project:testIamPermissions", `{"permissions": ["resourcemanager.projects.get"]}`, &answer)
	if len(answer.Permissions) != 1 || e.Last(t).Reason != "" {
		t.Errorf("permissions %q, and the journal says %q", answer.Permissions, e.Last(t).Reason)
	}
}

// A token of the emulator's own that is over says whose it was, whatever the mode.
func TestHolderOfAnExpiredToken(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewOf(t, emulatortest.StrictFixture(t), func(*server.Config) {})
	bearers := e.Bearers(t)
	for transport, generate := range e.Transports() {
		generate(t, bearers["expired"], emulatortest.Email("far"))
		last := e.Last(t)
		if got, want := last.Caller, "serviceAccount:"+emulatortest.Email("caller"); got != want || !strings.HasSuffix(last.Reason, "the token has expired") {
			t.Errorf("%s: the caller is %q, refused because %q; want %q", transport, got, last.Reason, want)
		}
	}
}
