package iamcredentials_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/signer"
)

// workerName is the name of the account worker in this API.
const workerName = "projects/-/serviceAccounts/" + emulatortest.Worker

// Tokens and signatures from gRPC have the same uses as tokens and signatures from JSON.
func TestRPCTokens(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	now := emulatortest.Noon()
	issuer := token.NewIssuer(e.Keys, emulatortest.Noon)
	client := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t))

	access := emulatortest.Must[*credentialspb.GenerateAccessTokenResponse](t)(client.GenerateAccessToken(emulatortest.CallContext(t),
		&credentialspb.GenerateAccessTokenRequest{Name: workerName, Scope: []string{emulatortest.Platform}, Lifetime: durationpb.New(5 * time.Minute)}))
	known := emulatortest.Must[token.Access](t)(issuer.Recognise(access.GetAccessToken()))
	if known.Principal.Email != emulatortest.Worker || known.Expires != now.Unix()+300 || access.GetExpireTime().AsTime() != now.Add(5*time.Minute) {
		t.Errorf("%+v until %v", known, access.GetExpireTime())
	}

	id := emulatortest.Must[*credentialspb.GenerateIdTokenResponse](t)(client.GenerateIdToken(emulatortest.CallContext(t),
		&credentialspb.GenerateIdTokenRequest{Name: workerName, Audience: "https://service.example.com", IncludeEmail: true}))
	claims := emulatortest.Must[*signer.Parsed](t)(issuer.VerifyID(t.Context(), id.GetToken())).Claims
	if claims["aud"] != "https://service.example.com" || claims["email"] != emulatortest.Worker || claims["sub"] != emulatortest.WorkerID {
		t.Errorf("claims %v", claims)
	}
}

func TestRPCSignatures(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	client := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t))
	key := emulatortest.Must[*keys.Key](t)(e.Keys.System(emulatortest.Worker).Active(t.Context()))
	blob := emulatortest.Must[*credentialspb.SignBlobResponse](t)(client.SignBlob(emulatortest.CallContext(t),
		&credentialspb.SignBlobRequest{Name: workerName, Payload: []byte("bytes")}))
	digest := sha256.Sum256([]byte("bytes"))
	if err := rsa.VerifyPKCS1v15(key.Public(), crypto.SHA256, digest[:], blob.GetSignedBlob()); err != nil || blob.GetKeyId() != key.ID() {
		t.Errorf("signature with key %s: %v", blob.GetKeyId(), err)
	}
	jwt := emulatortest.Must[*credentialspb.SignJwtResponse](t)(client.SignJwt(emulatortest.CallContext(t),
		&credentialspb.SignJwtRequest{Name: workerName, Payload: `{"aud":"x"}`}))
	if parsed, err := signer.Parse(jwt.GetSignedJwt()); err != nil || !parsed.SignedBy(key.Public()) || parsed.Claims["aud"] != "x" {
		t.Errorf("signed %s: %v", jwt.GetSignedJwt(), err)
	}
}

func TestRPCErrors(t *testing.T) {
	t.Parallel()
	client := credentialspb.NewIAMCredentialsClient(emulatortest.New(t).DialGRPC(t))
	ask := func(request *credentialspb.GenerateAccessTokenRequest) *status.Status {
		_, err := client.GenerateAccessToken(emulatortest.CallContext(t), request)
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
			&credentialspb.GenerateAccessTokenRequest{Name: workerName, Scope: []string{emulatortest.Platform}, Lifetime: durationpb.New(0)},
			codes.InvalidArgument, "Lifetime of access token must be larger then zero.",
		},
		"long lifetime": {
			&credentialspb.GenerateAccessTokenRequest{Name: workerName, Scope: []string{emulatortest.Platform}, Lifetime: durationpb.New(2 * time.Hour)},
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
