package guard_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
)

// invalid is the refusal of a credential, with Google's name for the reason if there is one.
func invalid(reason string) emulatortest.Outcome {
	refusal := emulatortest.Outcome{Status: "UNAUTHENTICATED", Message: emulatortest.InvalidCredential, Reason: reason}
	if reason != "" {
		refusal.Detail = map[string]string{
			"method":  "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken",
			"service": "iamcredentials.googleapis.com",
		}
	}
	return refusal
}

const (
	isExpired   = "ACCESS_TOKEN_EXPIRED"
	isNoToken   = "ACCESS_TOKEN_TYPE_UNSUPPORTED"
	isOfNobody  = "ACCOUNT_STATE_INVALID"
	hasNoReason = ""
)

// Under --strict the guard takes the credentials that Google takes, in JSON and in gRPC alike.
func TestCredentials(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewStrict(t)
	bearers := e.Bearers(t)
	ok := emulatortest.Outcome{Status: "OK"}
	for _, test := range []struct {
		name, bearer string
		want         emulatortest.Outcome
	}{
		{"of an account", "caller", ok},
		{"federated", "federated", ok},
		{"of another pool", "other-pool", invalid(isOfNobody)},
		{"self-signed JWT", "self-signed", ok},
		{"self-signed JWT with an empty audience", "self-signed-go", ok},
		{"self-signed JWT of PHP", "self-signed-php", ok},
		{"self-signed JWT for another API", "self-signed-elsewhere", invalid(isNoToken)},
		{"no credential", "", emulatortest.Outcome{
			Status: "UNAUTHENTICATED", Message: emulatortest.MissingCredential, Reason: "CREDENTIALS_MISSING", Detail: map[string]string{
				"method":  "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken",
				"service": "iamcredentials.googleapis.com",
			},
		}},
		{"unknown credential", "unknown", invalid(hasNoReason)},
		{"expired", "expired", invalid(isExpired)},
		{"disabled account", "off", invalid(isOfNobody)},
		{"ID token", "id", invalid(isNoToken)},
		{"too little scope", "drive", emulatortest.Outcome{
			Status: "PERMISSION_DENIED", Message: "Request had insufficient authentication scopes.",
			Reason: "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Detail: map[string]string{
				"method":  "google.iam.credentials.v1.IAMCredentials.GenerateAccessToken",
				"service": "iamcredentials.googleapis.com",
			},
		}},
		{"iam scope", "iam-scope", ok},
		{"access boundary", "bounded", emulatortest.Outcome{
			Status: "PERMISSION_DENIED", Message: "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
			Reason: "IAM_PERMISSION_DENIED", Detail: map[string]string{"permission": "iam.serviceAccounts.getAccessToken"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for transport, call := range e.Transports() {
				if diff := cmp.Diff(test.want, call(t, bearers[test.bearer], emulatortest.Email("target"))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", transport, diff)
				}
			}
		})
	}
}

// Without --strict too, the guard refuses a token that was good and is not any more. It lets a token
// through that it does not know.
func TestGoodNoLonger(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewOf(t, emulatortest.StrictFixture(t), func(*server.Config) {})
	bearers := e.Bearers(t)
	if got := emulatortest.Post(t.Context(), e.Server, "/revoke", url.Values{"token": {bearers["caller"]}}); got.Code != http.StatusOK {
		t.Fatalf("revoking: status %d", got.Code)
	}
	good := emulatortest.Outcome{Status: "OK"}
	for transport, call := range e.Transports() {
		for name, want := range map[string]emulatortest.Outcome{
			"caller": invalid(hasNoReason), "expired": invalid(isExpired), "dev": good, "unknown": good, "drive": good, "self-signed": good, "self-signed-elsewhere": good,
		} {
			if diff := cmp.Diff(want, call(t, bearers[name], emulatortest.Email("target"))); diff != "" {
				t.Errorf("%s in %s (-want +got):\n%s", name, transport, diff)
			}
		}
	}
	if err := e.Clock.Advance(time.Hour); err != nil {
		t.Fatal(err)
	}
	ask := func(when string, want map[string]emulatortest.Outcome) {
		t.Helper()
		for name, want := range want {
			if diff := cmp.Diff(want, e.OverJSON(t, bearers[name], emulatortest.Email("target"))); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, when, diff)
			}
		}
	}
	// What a client signs itself it signs by its own clock.
	ask("after an hour", map[string]emulatortest.Outcome{"dev": invalid(isExpired), "self-signed": good})
	if err := e.Clock.Set(e.Clock.Now().Add(-24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	// A client that keeps its token renews it by its own clock, whatever was done to the emulator's.
	ask("a day before", map[string]emulatortest.Outcome{"dev": good, "self-signed": good})
}
