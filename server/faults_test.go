package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"gcp-metadata-emulator/server/emulatortest"
)

// A malformed answer is not JSON, whatever the answer would have been.
func TestMalformedIsNoJSON(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	added := e.Fail(t, `{"route": "*", "malformed": true}`)
	for i, request := range []string{
		"GET /computeMetadata/v1/project/numeric-project-id\nMetadata-Flavor: Google\n\n",
		"GET /computeMetadata/v1/instance/service-accounts/?recursive=true\nMetadata-Flavor: Google\n\n",
		"GET /computeMetadata/v1/instance/preempted?alt=json\nMetadata-Flavor: Google\n\n",
		"POST /v1/projects/demo-project/serviceAccounts/" + emulatortest.Worker + ":enable\nAuthorization: Bearer x\n\n{}",
		"GET /\n\n",
		"GET /nowhere\n\n",
	} {
		got := e.Exchange(t, request)
		if got.Body == "" || json.Valid([]byte(got.Body)) {
			t.Errorf("%s: the malformed body is valid JSON: %q", request, got.Body)
		}
		if hits := e.Hits(t, added); hits != i+1 {
			t.Errorf("%s: %d hits, want %d", request, hits, i+1)
		}
	}
	e.Faults.Clear()
	e.Fail(t, `{"route": "*", "body": "", "malformed": true}`)
	if got := e.Get(t, "/"); got.Body != "{" {
		t.Errorf("an empty body becomes %q", got.Body)
	}
}

// An answer without a body cannot break off in the body, so the connection ends before the answer.
func TestHangUpOfHead(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	added := e.Fail(t, `{"route": "mds.ping", "hangUp": "body"}`)
	conn := emulatortest.Dial(t, e.Address)
	if _, err := io.WriteString(conn, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(conn); err != nil || len(data) > 0 {
		t.Errorf("read %q, %v; want the end at once", data, err)
	}
	if seen := e.Last(t); seen.Status != 0 || seen.Fault != added.ID || e.Hits(t, added) != 1 {
		t.Errorf("the journal has %+v after %d hits", seen, e.Hits(t, added))
	}
}

// A fault without an effect is not a hit, and remains for another request.
func TestFaultsThatStrikeNobody(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	values := wireValues(t, e)
	exchange := func(assertion string) string {
		return values.Replace("POST /token\n\ngrant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" + assertion)
	}
	metadata := func(path string) string { return "GET " + path + "\nMetadata-Flavor: Google\n\n" }
	for _, test := range []struct{ rule, inVain, struck string }{
		{`"route": "oauth2.token", "defect": "wrong-issuer"`, exchange("${assertion:good}"), exchange("${assertion:id-token}")},
		{`"route": "oauth2.token", "defect": "expired"`, exchange("nonsense"), exchange("${assertion:good}")},
		{
			`"route": "mds.identity", "defect": "missing-email"`,
			metadata(emulatortest.AttachedPath + "default/identity?audience=x"), metadata(emulatortest.AttachedPath + "default/identity?audience=x&format=full"),
		},
		{`"route": "mds.token", "defect": "revoked"`, metadata(emulatortest.AttachedPath + "nobody/token"), metadata(emulatortest.AttachedPath + "default/token")},
		{`"route": "mds.token", "defect": "revoked"`, "HEAD " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\n\n", metadata(emulatortest.AttachedPath + "default/token")},
		{`"route": "mds.*", "malformed": true`, "HEAD /\n\n", "GET /\n\n"},
		{`"route": "*", "withoutHeader": "WWW-Authenticate"`, "GET /\n\n", "POST /v1/projects/-/serviceAccounts/" + emulatortest.Worker + ":signBlob\n\n{}"},
		{`"route": "mds.*", "withoutHeader": "Metadata-Flavor", "body": ""`, "GET /oauth2/v3/certs\n\n", "GET /\n\n"},
	} {
		added := e.Fail(t, "{"+test.rule+`, "times": 1}`)
		for want, request := range []string{test.inVain, test.struck} {
			got := e.Exchange(t, request)
			if hits := e.Hits(t, added); hits != want {
				t.Errorf("%s: %d hits, want %d, after the request\n%.150s\nwith the answer %d %.300s", test.rule, hits, want, request, got.Status, got.Body)
			}
			if seen := e.Last(t); (seen.Fault == added.ID) != (want == 1) {
				t.Errorf("%s: the journal has fault %q for %.150s", test.rule, seen.Fault, request)
			}
		}
		e.Faults.Clear()
	}
	const counted = `gcp_metadata_emulator_faults_total{route="oauth2.token"} 2`
	if got := e.Exchange(t, "GET /emulator/metrics\n\n"); !strings.Contains(got.Body, counted+"\n") {
		t.Errorf("metrics lack %s: %s", counted, got.Body)
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
