package emulatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"gcp-metadata-emulator/fixtures/spelling"
)

// Outcome is the result of a call of an API, with the values that both transports have.
type Outcome struct {
	Status  string // google.rpc.Code
	Message string
	Reason  string // of ErrorInfo
	Detail  map[string]string
}

// Messages of errors.
const (
	InvalidCredential = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid " +
		"authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
	MissingCredential = "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid " +
		"authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)

// GenerateAccessToken calls the method of IAM Credentials over one transport. If bearer is empty, the
// call has no credential.
type GenerateAccessToken func(t *testing.T, bearer, account string, delegates ...string) Outcome

// Transports returns the method by the names of its transports.
func (e *Emulator) Transports() map[string]GenerateAccessToken {
	return map[string]GenerateAccessToken{"JSON": e.OverJSON, "gRPC": e.OverGRPC}
}

// OverJSON is GenerateAccessToken in JSON.
func (e *Emulator) OverJSON(t *testing.T, bearer, account string, delegates ...string) Outcome {
	t.Helper()
	body, err := json.Marshal(map[string][]string{"scope": {Platform}, "delegates": delegates})
	if err != nil {
		t.Fatal(err)
	}
	target := e.URL + "/v1/projects/-/serviceAccounts/" + account + ":generateAccessToken"
	request := Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, target, bytes.NewReader(body)))
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	code, answer := do(t, e.web.Client(), request)
	if code == http.StatusOK {
		return Outcome{Status: "OK"}
	}
	var failure struct {
		Error struct {
			Message string `json:"message"`
			Status  string `json:"status"`
			Details []struct {
				Reason   string            `json:"reason"`
				Metadata map[string]string `json:"metadata"`
			} `json:"details"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(answer), &failure); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	got := Outcome{Status: failure.Error.Status, Message: failure.Error.Message}
	for _, detail := range failure.Error.Details {
		got.Reason, got.Detail = detail.Reason, detail.Metadata
	}
	return got
}

// OverGRPC is GenerateAccessToken in gRPC.
func (e *Emulator) OverGRPC(t *testing.T, bearer, account string, delegates ...string) Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if bearer != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+bearer)
	}
	_, err := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t)).GenerateAccessToken(ctx, &credentialspb.GenerateAccessTokenRequest{
		Name: "projects/-/serviceAccounts/" + account, Scope: []string{Platform}, Delegates: delegates,
	})
	got := Outcome{Status: codeName(status.Code(err))}
	if err != nil {
		got.Message = status.Convert(err).Message()
		for _, detail := range status.Convert(err).Details() {
			if info, ok := detail.(*errdetails.ErrorInfo); ok {
				got.Reason, got.Detail = info.GetReason(), info.GetMetadata()
			}
		}
	}
	return got
}

// DialGRPC opens a connection for gRPC that ends with the test.
func (e *Emulator) DialGRPC(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn := Must[*grpc.ClientConn](t)(grpc.NewClient(e.Address, grpc.WithTransportCredentials(insecure.NewCredentials())))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// CallContext returns a context for calls in gRPC, with a bearer token and the routing header that
// clients send.
func CallContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer ya29.anything",
		"x-goog-request-params", "name=projects%2F-%2FserviceAccounts%2Fworker")
}

// codeName returns the name of a code in google.rpc.Code: PERMISSION_DENIED for PermissionDenied.
func codeName(code codes.Code) string {
	if code == codes.OK {
		return "OK"
	}
	return strings.ToUpper(strings.TrimPrefix(spelling.Separated(code.String(), "_"), "_"))
}
