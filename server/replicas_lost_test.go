package server_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/world"
)

// share makes an emulator a replica.
func share(t *testing.T, config *server.Config, of replica.Config) *replica.Replica {
	t.Helper()
	of.Timeout, of.Grace, of.Logger = time.Minute, cmp.Or(of.Grace, time.Minute), slog.New(slog.DiscardHandler)
	shared := replica.New(of)
	config.World, config.Replica = emulatortest.Must[*world.World](t)(shared.Begin(t.Context(), config.World)), shared
	return shared
}

// A signature needs a new key, and without the store no replica can make a key: in JSON and in gRPC the
// client learns the reason, and may try again.
func TestSignaturesWithoutTheStore(t *testing.T) {
	t.Parallel()
	link := recordstest.New().Join()
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
		config.Keys = keys.NewSharedRing(share(t, config, replica.Config{Store: link}).Files(), config.Clock.Now)
	})
	link.Cut()
	const name, why = "projects/-/serviceAccounts/" + emulatortest.Worker, "the store that the replicas share does not answer: the test has cut the replica off; hint: "
	client := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t))
	for method, call := range map[string]func() error{
		"SignBlob": func() error {
			_, err := client.SignBlob(emulatortest.CallContext(t), &credentialspb.SignBlobRequest{Name: name, Payload: []byte("x")})
			return err
		},
		"SignJwt": func() error {
			_, err := client.SignJwt(emulatortest.CallContext(t), &credentialspb.SignJwtRequest{Name: name, Payload: "{}"})
			return err
		},
		"GenerateIdToken": func() error {
			_, err := client.GenerateIdToken(emulatortest.CallContext(t), &credentialspb.GenerateIdTokenRequest{Name: name, Audience: "x"})
			return err
		},
	} {
		if got := status.Convert(call()); got.Code() != codes.Unavailable || !strings.HasPrefix(got.Message(), why) {
			t.Errorf("%s: %v: %s", method, got.Code(), got.Message())
		}
		if last := e.Last(t); last.Status != http.StatusServiceUnavailable || last.Code != "store-unreachable" || last.Hint == "" {
			t.Errorf("%s: the journal has %+v", method, last)
		}
	}
	got := oneOf{Emulator: e}.ask(t.Context(), http.MethodPost, "http://iamcredentials.googleapis.com/v1/"+name+":signBlob", `{"payload": "eA=="}`)
	if got.Code != http.StatusServiceUnavailable || !strings.Contains(got.Body.String(), why) {
		t.Errorf("in JSON: status %d: %s", got.Code, got.Body)
	}
}

// No client can spend a code without the store, neither at the token endpoint nor at the door of a
// service.
func TestCodesWithoutTheStore(t *testing.T) {
	t.Parallel()
	const why = "the store that the replicas share does not answer"
	alone := newReplicas(t, 1)[0]
	code := alone.newCode(t)
	alone.link.Cut()
	if status, got := alone.post(t, "/token", code); status != http.StatusServiceUnavailable || got["error"] != "temporarily_unavailable" ||
		!strings.HasPrefix(fmt.Sprint(got["error_description"]), why) {
		t.Errorf("the token endpoint answers with status %d: %v", status, got)
	}

	link := recordstest.New().Join()
	_, base := consoleOf(t, func(config *server.Config) { share(t, config, replica.Config{Store: link}) })
	b := newBrowser(t, base)
	shown := b.get(t, "/")
	link.Cut()
	got := b.signIn(t, shown, "user", "dev@example.com")
	if reason := got.Header.Get("X-Emulator-Reason"); got.StatusCode != http.StatusServiceUnavailable || !strings.HasPrefix(reason, why) {
		t.Errorf("the door answers with status %d, because %q", got.StatusCode, reason)
	}
	link.Connect()
	if got = b.get(t, got.Request.URL.RequestURI()); got.StatusCode != http.StatusOK || b.session(t) == "" {
		t.Errorf("with the store again, the door answers with status %d", got.StatusCode)
	}
}
