package servertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/metadata"

	"gcp-metadata-emulator/server/servertest"
)

// verify stands for a service that checks its caller's ID token.
func verify(client *http.Client, token string, options ...jwt.ParserOption) (email string, err error) {
	response, err := client.Get("https://www.googleapis.com/oauth2/v3/certs")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var published jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&published); err != nil {
		return "", err
	}
	var claims struct {
		jwt.RegisteredClaims

		Email string `json:"email"`
	}
	_, err = jwt.ParseWithClaims(token, &claims, func(token *jwt.Token) (any, error) {
		for _, key := range published.Key(fmt.Sprint(token.Header["kid"])) {
			return key.Key, nil
		}
		return nil, jwt.ErrTokenUnverifiable
	}, append(options, jwt.WithIssuer("https://accounts.google.com"), jwt.WithAudience("https://service.example.com"))...)
	return claims.Email, err
}

// A caller gets an ID token from its metadata server, and a service verifies it with Google's
// keys. The client finds both at the emulator.
func Example() {
	t := newT() // your test's *testing.T; also in the other examples
	defer t.end()

	emu := servertest.New(t)
	_, token := get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity"+
		"?audience=https://service.example.com&format=full")
	fmt.Println(verify(emu.Client(), token))

	other := servertest.New(t) // has its own keys and accounts
	_, err := verify(other.Client(), token)
	fmt.Println(err)
	// Output:
	// 123456789012-compute@developer.gserviceaccount.com <nil>
	// token is unverifiable: error while executing keyfunc: token is unverifiable
}

func ExampleYAML() {
	t := newT()
	defer t.end()

	emu := servertest.New(t, servertest.Strict(), servertest.YAML(`
project: {id: my-project, number: 4711}
instances:
  - {name: app-vm, metadata: {instance: {attributes: {role: web}}}}
`))
	fmt.Println(get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/project/project-id"))
	fmt.Println(get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/attributes/role"))
	// Output:
	// 200 my-project
	// 200 web
}

// Environment variables lead unmodified libraries to the metadata server.
func ExampleInstance_Setenv() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	emu.Setenv(t)
	fmt.Println("http://"+os.Getenv("GCE_METADATA_HOST") == emu.URL, os.Getenv("GOOGLE_CLOUD_PROJECT"))
	// Output: true demo-project
}

func ExampleEmulator_Advance() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	emu.Freeze()
	const token = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
	_, first := get(t, emu.Client(), token)
	_, again := get(t, emu.Client(), token)
	fmt.Println("cached:", first == again)

	emu.Advance(time.Hour)
	_, later := get(t, emu.Client(), token)
	fmt.Println("an hour later:", first == later)
	// Output:
	// cached: true
	// an hour later: false
}

// A client that retries hides the failures from the program, but the journal records them.
func ExampleEmulator_Fail() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	unavailable := emu.Fail("mds.token", servertest.Status(http.StatusServiceUnavailable), servertest.Times(2))
	for status := 0; status != http.StatusOK; {
		status, _ = get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token")
	}
	fmt.Println("failed:", unavailable.Hits())
	for _, exchange := range emu.Requests("mds.token") {
		fmt.Println(exchange.Method, exchange.Path, exchange.Status)
	}
	// Output:
	// failed: 2
	// GET /computeMetadata/v1/instance/service-accounts/default/token 503
	// GET /computeMetadata/v1/instance/service-accounts/default/token 503
	// GET /computeMetadata/v1/instance/service-accounts/default/token 200
}

// A program waits for a metadata change, and the test waits until the program does.
func ExampleInstance_AwaitWaiter() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	emu.SetMetadata("instance/attributes/color", "green")
	told := make(chan string)
	go func() {
		_, color := get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/attributes/color?wait_for_change=true")
		told <- color
	}()
	emu.AwaitWaiter(context.Background(), "instance/attributes/color")
	emu.SetMetadata("instance/attributes/color", "red")
	fmt.Println(<-told)
	// Output: red
}

func ExampleEmulator_CredentialsFile() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", emu.CredentialsFile(t, "service-account", "worker@demo-project.iam.gserviceaccount.com"))

	var file struct {
		Email    string `json:"client_email"`
		TokenURI string `json:"token_uri"`
	}
	data, _ := os.ReadFile(os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"))
	fmt.Println(json.Unmarshal(data, &file), file.Email, file.TokenURI == emu.URL+"/token")
	// Output: <nil> worker@demo-project.iam.gserviceaccount.com true
}

func ExampleEmulator_GRPC() {
	t := newT()
	defer t.end()

	emu := servertest.New(t)
	var access struct {
		Token string `json:"access_token"`
	}
	_, answer := get(t, emu.Client(), "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token")
	_ = json.Unmarshal([]byte(answer), &access)

	client := credentialspb.NewIAMCredentialsClient(emu.GRPC("iamcredentials.googleapis.com"))
	signed, err := client.SignBlob(
		metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+access.Token),
		&credentialspb.SignBlobRequest{Name: "projects/-/serviceAccounts/worker@demo-project.iam.gserviceaccount.com", Payload: []byte("data")})
	fmt.Println(len(signed.GetSignedBlob()), err)
	fmt.Println(emu.Requests("iamcredentials.signBlob")[0].Account)
	// Output:
	// 256 <nil>
	// worker@demo-project.iam.gserviceaccount.com
}
