package servertest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"

	"gcp-metadata-emulator/server/servertest"
)

func TestClient(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.YAML("instances: [{name: demo-vm}, {name: twin}]"))
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "mine") }))
	defer own.Close()
	for url, want := range map[string]string{
		"https://www.googleapis.com/oauth2/v3/certs":                                                     `"kid"`,
		"https://accounts.google.com/.well-known/openid-configuration":                                   `"https://www.googleapis.com/oauth2/v3/certs"`,
		"http://metadata.google.internal/computeMetadata/v1/instance/name":                               "demo-vm",
		"http://169.254.169.254/computeMetadata/v1/instance/name":                                        "demo-vm",
		emu.URL + "/computeMetadata/v1/instance/name":                                                    "demo-vm",
		"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/x:signBlob":                 "error",
		"https://www.googleapis.com/service_accounts/v1/jwk/" + worker:                                   `"keys"`,
		strings.Replace(emu.URL, "127.0.0.1", "twin.localhost", 1) + "/computeMetadata/v1/instance/name": "twin",
		own.URL: "mine",
	} {
		if _, body := get(t, emu.Client(), url); !strings.Contains(body, want) {
			t.Errorf("%s: %s, want %s", url, body, want)
		}
	}
	_, err := emu.Client().Get("https://service.example.com/") //nolint:bodyclose // the request fails
	if err == nil || !strings.Contains(err.Error(), `only reaches hosts of Google and this machine, not "service.example.com"`) {
		t.Errorf("of another host the client says %v", err)
	}
}

// A test may change its client and still control the emulator.
func TestClientIsTheTests(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	emu.Client().Timeout = time.Nanosecond
	emu.Client().Transport = http.NewFileTransport(http.Dir("."))
	emu.SetMetadata("instance/attributes/color", "green")
	if got := emu.Metadata("instance/attributes/color"); got != "green" {
		t.Errorf("the color is %v", got)
	}
}

// The client trusts the emulator whatever the emulator's clock says.
func TestClientAtAnyTime(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	for _, year := range []int{2026, 1999, 2099, 2026} {
		emu.SetTime(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC))
		emu.Client().CloseIdleConnections()
		if status, _ := get(t, emu.Client(), "https://www.googleapis.com/oauth2/v1/certs"); status != http.StatusOK {
			t.Errorf("in %d: status %d", year, status)
		}
	}
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t)
	client := credentialspb.NewIAMCredentialsClient(emu.GRPC("iamcredentials.googleapis.com"))
	signed, err := client.SignBlob(t.Context(), &credentialspb.SignBlobRequest{Name: "projects/-/serviceAccounts/" + worker, Payload: []byte("x")})
	if err == nil {
		t.Errorf("without a token a blob is signed: %v", signed)
	}
	if got := emu.Requests("iamcredentials.signBlob"); len(got) != 1 || got[0].Account != worker {
		t.Errorf("the journal has %+v", got)
	}
}
