package server_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/signer"
)

func callContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer ya29.anything",
		"x-goog-request-params", "name=projects%2F-%2FserviceAccounts%2Fworker")
}

const workerName = "projects/-/serviceAccounts/" + worker

// What gRPC gives out is good for the same as what JSON does.
func TestRPCTokens(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	now, _ := time.Parse(time.RFC3339, wireNow)
	issuer := token.NewIssuer(e.ring, func() time.Time { return now })
	client := credentialspb.NewIAMCredentialsClient(e.dialGRPC(t))

	access := must[*credentialspb.GenerateAccessTokenResponse](t)(client.GenerateAccessToken(callContext(t),
		&credentialspb.GenerateAccessTokenRequest{Name: workerName, Scope: []string{platform}, Lifetime: durationpb.New(5 * time.Minute)}))
	known := must[token.Access](t)(issuer.Recognise(access.GetAccessToken()))
	if known.Principal.Email != worker || known.Expires != now.Unix()+300 || access.GetExpireTime().AsTime() != now.Add(5*time.Minute) {
		t.Errorf("%+v until %v", known, access.GetExpireTime())
	}

	id := must[*credentialspb.GenerateIdTokenResponse](t)(client.GenerateIdToken(callContext(t),
		&credentialspb.GenerateIdTokenRequest{Name: workerName, Audience: "https://service.example.com", IncludeEmail: true}))
	claims := must[*signer.Parsed](t)(issuer.VerifyID(t.Context(), id.GetToken())).Claims
	if claims["aud"] != "https://service.example.com" || claims["email"] != worker || claims["sub"] != workerID {
		t.Errorf("claims %v", claims)
	}
}

func TestRPCSignatures(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	client := credentialspb.NewIAMCredentialsClient(e.dialGRPC(t))
	key := must[*keys.Key](t)(e.ring.System(worker).Active(t.Context()))
	blob := must[*credentialspb.SignBlobResponse](t)(client.SignBlob(callContext(t),
		&credentialspb.SignBlobRequest{Name: workerName, Payload: []byte("bytes")}))
	digest := sha256.Sum256([]byte("bytes"))
	if err := rsa.VerifyPKCS1v15(key.Public(), crypto.SHA256, digest[:], blob.GetSignedBlob()); err != nil || blob.GetKeyId() != key.ID() {
		t.Errorf("signature with key %s: %v", blob.GetKeyId(), err)
	}
	jwt := must[*credentialspb.SignJwtResponse](t)(client.SignJwt(callContext(t),
		&credentialspb.SignJwtRequest{Name: workerName, Payload: `{"aud":"x"}`}))
	if parsed, err := signer.Parse(jwt.GetSignedJwt()); err != nil || !parsed.SignedBy(key.Public()) || parsed.Claims["aud"] != "x" {
		t.Errorf("signed %s: %v", jwt.GetSignedJwt(), err)
	}
}

func TestRPCErrors(t *testing.T) {
	t.Parallel()
	client := credentialspb.NewIAMCredentialsClient(newEmulator(t).dialGRPC(t))
	ask := func(request *credentialspb.GenerateAccessTokenRequest) *status.Status {
		_, err := client.GenerateAccessToken(callContext(t), request)
		return status.Convert(err)
	}
	for name, test := range map[string]struct {
		request *credentialspb.GenerateAccessTokenRequest
		code    codes.Code
		message string
	}{
		"no name":         {&credentialspb.GenerateAccessTokenRequest{}, codes.InvalidArgument, "Invalid form of account ID"},
		"name of nothing": {&credentialspb.GenerateAccessTokenRequest{Name: "a/b/c/d"}, codes.InvalidArgument, "Invalid form of account ID"},
		"no scope":        {&credentialspb.GenerateAccessTokenRequest{Name: workerName}, codes.InvalidArgument, "Request contains an invalid argument."},
		"lifetime of nothing": {
			&credentialspb.GenerateAccessTokenRequest{Name: workerName, Scope: []string{platform}, Lifetime: durationpb.New(0)},
			codes.InvalidArgument, "Lifetime of access token must be larger then zero.",
		},
		"long lifetime": {
			&credentialspb.GenerateAccessTokenRequest{Name: workerName, Scope: []string{platform}, Lifetime: durationpb.New(2 * time.Hour)},
			codes.InvalidArgument, "Service account access tokens can not have lifetimes of more than 1 hour.",
		},
	} {
		if got := ask(test.request); got.Code() != test.code || !strings.HasPrefix(got.Message(), test.message) {
			t.Errorf("%s: %v %q, want %v %q", name, got.Code(), got.Message(), test.code, test.message)
		}
	}
	_, err := client.SignBlob(t.Context(), &credentialspb.SignBlobRequest{Name: workerName})
	details := status.Convert(err).Details()
	if len(details) != 1 || status.Code(err) != codes.Unauthenticated {
		t.Fatalf("without a credential: %v with %v", err, details)
	}
	if info, ok := details[0].(*errdetails.ErrorInfo); !ok || info.GetReason() != "CREDENTIALS_MISSING" {
		t.Errorf("details %v", details)
	}
}

// Tools find out by reflection what is served, and whether it is well.
func TestRPCHealthAndReflection(t *testing.T) {
	t.Parallel()
	conn := newEmulator(t).dialGRPC(t)
	healthy := must[*healthpb.HealthCheckResponse](t)(healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}))
	if healthy.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health is %v", healthy.GetStatus())
	}
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, service := range must[*reflectionpb.ServerReflectionResponse](t)(stream.Recv()).GetListServicesResponse().GetService() {
		services = append(services, service.GetName())
	}
	if !slices.Contains(services, "google.iam.credentials.v1.IAMCredentials") {
		t.Errorf("services %q", services)
	}
}

// A gRPC call over HTTP/1.1 is no gRPC, and gets an answer all the same.
func TestRPCNeedsHTTP2(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.URL+"/google.iam.credentials.v1.IAMCredentials/SignBlob", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("status %d", response.StatusCode)
	}
}
