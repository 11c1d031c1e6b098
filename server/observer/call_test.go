package observer_test

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

// In gRPC, a fault has the effect that a client over HTTP would see.
func TestFaultsOfCalls(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	client := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t))
	for _, test := range []struct {
		rule    string
		code    codes.Code
		message string
		hits    int
	}{
		{`"status": 503`, codes.Unavailable, "The service is currently unavailable.", 1},
		{`"status": 503, "body": "overloaded"`, codes.Unavailable, "overloaded", 1},
		{`"status": 429, "body": {"error": {"code": 429, "message": "slow down"}}`, codes.ResourceExhausted, "slow down", 1},
		{`"malformed": true`, codes.Internal, "grpc: failed to unmarshal the received message: unexpected EOF", 1},
		{`"body": "text"`, codes.OK, "", 0},
		{`"withoutHeader": "Server"`, codes.OK, "", 0},
		{`"defect": "missing-email"`, codes.OK, "", 0},
		{`"defect": "expired"`, codes.OK, "", 1},
	} {
		added := e.Fail(t, `{"route": "iamcredentials.generateIdToken", `+test.rule+"}")
		_, err := client.GenerateIdToken(emulatortest.CallContext(t), &credentialspb.GenerateIdTokenRequest{Name: "projects/-/serviceAccounts/" + emulatortest.Worker, Audience: "x"})
		if got := status.Convert(err); got.Code() != test.code || got.Message() != test.message {
			t.Errorf("%s: %v", test.rule, err)
		}
		seen := e.Last(t)
		if hits := e.Hits(t, added); hits != test.hits || (seen.Fault == added.ID) != (hits == 1) || (seen.Status == http.StatusOK) != (test.code == codes.OK) {
			t.Errorf("%s: %d hits, want %d; the journal has %+v", test.rule, hits, test.hits, seen)
		}
		e.Faults.Clear()
	}
}
