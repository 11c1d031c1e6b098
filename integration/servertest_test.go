package integration_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/compute/metadata"
	credentials "cloud.google.com/go/iam/credentials/apiv1"
	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"cloud.google.com/go/storage"
	"gcp-metadata-emulator/server/servertest"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/iam/v1"
	"google.golang.org/api/idtoken"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/oauth"
)

// In one process with the emulator, and without any variables, libraries reach it with the given
// client.

func TestServertestMetadata(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	client := metadata.NewClient(emu.Client())
	emu.SetMetadata("instance/attributes/color", "green")
	if got, err := client.InstanceAttributeValueWithContext(t.Context(), "color"); err != nil || got != "green" {
		t.Errorf("the attribute is %q, %v", got, err)
	}
	told := make(chan any)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = client.SubscribeWithContext(ctx, "instance/attributes/color", func(_ context.Context, color string, _ bool) error {
			told <- color
			return nil
		})
		close(told)
	}()
	if got := <-told; got != "green" {
		t.Errorf("a subscription begins with %q", got)
	}
	emu.AwaitWaiter(t.Context(), "instance/attributes/color")
	emu.SetMetadata("instance/attributes/color", "red")
	if got := <-told; got != "red" {
		t.Errorf("a subscription is told %q", got)
	}
	cancel()
	<-told
}

// identityToken returns an ID token of the default account.
func identityToken(t *testing.T, emu *servertest.Emulator) string {
	t.Helper()
	token, err := metadata.NewClient(emu.Client()).GetWithContext(t.Context(), "instance/service-accounts/default/identity?format=full&audience="+audience)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestServertestIDToken(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	validator, err := idtoken.NewValidator(t.Context(), option.WithHTTPClient(emu.Client()))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := validator.Validate(t.Context(), identityToken(t, emu), audience)
	if err != nil || payload.Claims["email"] != defaultAccount {
		t.Errorf("the token is of %+v, %v", payload, err)
	}
	if got := emu.Requests("keys.jwks"); len(got) != 1 {
		t.Errorf("the keys were asked for %d times, want once", len(got))
	}
	if _, err := validator.Validate(t.Context(), identityToken(t, servertest.New(t)), audience); err == nil {
		t.Error("a token of another emulator is valid")
	}
	emu.SetTime(time.Now().Add(-2 * time.Hour))
	if _, err := validator.Validate(t.Context(), identityToken(t, emu), audience); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("of a token that has expired the validator says %v", err)
	}
}

// tokenSource returns the token source of a key file. It uses the emulator's client.
func tokenSource(t *testing.T, emu *servertest.Emulator) oauth2.TokenSource {
	t.Helper()
	key, err := os.ReadFile(emu.CredentialsFile(t, "service-account", workerAccount))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, emu.Client())
	config, err := google.JWTConfigFromJSON(key, cloudPlatform)
	if err != nil {
		t.Fatal(err)
	}
	return config.TokenSource(ctx)
}

func authorized(t *testing.T, emu *servertest.Emulator) option.ClientOption {
	t.Helper()
	return option.WithHTTPClient(&http.Client{Transport: &oauth2.Transport{Source: tokenSource(t, emu), Base: emu.Client().Transport}})
}

func TestServertestIAM(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.Strict(), servertest.YAML(`
policies:
  - resource: project
    bindings: [{role: roles/owner, members: ["serviceAccount:`+workerAccount+`"]}, {role: roles/iam.serviceAccountTokenCreator, members: ["serviceAccount:`+workerAccount+`"]}]
`))
	accounts, err := iam.NewService(t.Context(), authorized(t, emu))
	if err != nil {
		t.Fatal(err)
	}
	listed, err := accounts.Projects.ServiceAccounts.List("projects/" + projectID).Context(t.Context()).Do()
	if err != nil || len(listed.Accounts) != 3 {
		t.Errorf("listed are %+v, %v", listed, err)
	}

	rest, err := credentials.NewIamCredentialsRESTClient(t.Context(), authorized(t, emu))
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	rpc, err := credentials.NewIamCredentialsClient(t.Context(), option.WithGRPCConn(
		emu.GRPC("iamcredentials.googleapis.com", grpc.WithPerRPCCredentials(oauth.TokenSource{TokenSource: tokenSource(t, emu)}))))
	if err != nil {
		t.Fatal(err)
	}
	defer rpc.Close()
	for name, client := range map[string]*credentials.IamCredentialsClient{"REST": rest, "gRPC": rpc} {
		token, err := client.GenerateAccessToken(t.Context(), &credentialspb.GenerateAccessTokenRequest{
			Name: "projects/-/serviceAccounts/" + targetAccount, Scope: []string{cloudPlatform},
		})
		if err != nil || !strings.HasPrefix(token.GetAccessToken(), "ya29.") {
			t.Errorf("%s: %v, %v", name, token, err)
		}
	}
	if got := emu.Requests("iamcredentials.generateAccessToken"); len(got) != 2 || got[0].Account != targetAccount {
		t.Errorf("the journal has %+v", got)
	}
}

func TestServertestStorage(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	// Besides the client, the library needs credentials with a universe domain.
	client, err := storage.NewClient(t.Context(), authorized(t, emu), option.WithTokenSource(tokenSource(t, emu)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	signed, err := client.Bucket("a-bucket").SignedURL("an/object", &storage.SignedURLOptions{
		GoogleAccessID: workerAccount, Method: http.MethodGet, Scheme: storage.SigningSchemeV4, Expires: time.Now().Add(time.Hour),
	})
	if err != nil || !strings.Contains(signed, "X-Goog-Signature=") {
		t.Errorf("the URL is %q, %v", signed, err)
	}
	if got := emu.Requests("iamcredentials.signBlob"); len(got) != 1 || got[0].Account != workerAccount {
		t.Errorf("the journal has %+v", got)
	}
}

// With environment variables alone, default credentials are the credentials of the instance.
func TestServertestSetenv(t *testing.T) {
	emu := servertest.New(t)
	emu.Setenv(t)
	t.Setenv("HOME", t.TempDir()) // Go libraries prefer gcloud's files there
	found, err := google.FindDefaultCredentials(t.Context(), cloudPlatform)
	if err != nil {
		t.Fatal(err)
	}
	// The library retries when the server is unavailable.
	unavailable := emu.Fail("mds.token", servertest.Status(http.StatusServiceUnavailable), servertest.Times(2))
	token, err := found.TokenSource.Token()
	if err != nil || !strings.HasPrefix(token.AccessToken, "ya29.") || found.ProjectID != projectID {
		t.Errorf("the token of %q is %v, %v", found.ProjectID, token, err)
	}
	if unavailable.Hits() != 2 {
		t.Errorf("%d requests met the fault, want 2", unavailable.Hits())
	}
}
