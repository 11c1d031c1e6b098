package server_test

import (
	"net/http"
	"strings"
	"testing"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"gcp-metadata-emulator/server/emulatortest"
)

// Calls in gRPC are the same operations as in JSON, for faults and for the journal.
func TestCallsAreObserved(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	client := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t))
	call := func() codes.Code {
		t.Helper()
		_, err := client.GenerateIdToken(emulatortest.CallContext(t), &credentialspb.GenerateIdTokenRequest{Name: "projects/-/serviceAccounts/" + emulatortest.Worker, Audience: "x"})
		return status.Code(err)
	}
	for rule, want := range map[string]codes.Code{
		`"route": "iamcredentials.generateIdToken", "status": 503`:            codes.Unavailable,
		`"route": "iamcredentials.*", "status": 429`:                          codes.ResourceExhausted,
		`"route": "*", "match": {"account": "worker@*"}, "status": 403`:       codes.PermissionDenied,
		`"route": "*", "match": {"audience": "x"}, "status": 401`:             codes.Unauthenticated,
		`"route": "*", "hangUp": true`:                                        codes.Unavailable,
		`"route": "*", "status": 418`:                                         codes.Unknown,
		`"route": "*", "match": {"account": "someone@else.x"}, "status": 500`: codes.OK,
		`"route": "iamcredentials.signJwt", "status": 500`:                    codes.OK,
		`"route": "*", "withoutHeader": "Server"`:                             codes.OK,
	} {
		added := e.Fail(t, "{"+rule+"}")
		if got := call(); got != want {
			t.Errorf("%s: %v, want %v", rule, got, want)
		}
		e.Faults.Remove(added.ID)
		seen := e.Last(t)
		if seen.Route != "iamcredentials.generateIdToken" || seen.Account != emulatortest.Worker || seen.Audience != "x" ||
			(seen.Status == http.StatusOK) != (want == codes.OK) || !strings.HasPrefix(seen.UserAgent, "grpc-go/") {
			t.Errorf("%s: the journal has %+v", rule, seen)
		}
	}
}
