package servertest_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/servertest"
	"gcp-metadata-emulator/server/token"
)

const universe = "universeDomain: example.goog\n"

// The APIs have names of their own in a universe, with certificates and without, each for its own
// API alone.
func TestUniverse(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.Strict(), servertest.YAML(universe))
	for address, want := range map[string]int{
		"https://oauth2.example.goog/oauth2/v3/certs":                                                    http.StatusNotFound,
		"https://www.example.goog/oauth2/v3/certs":                                                       http.StatusOK,
		"http://www.example.goog/oauth2/v3/certs":                                                        http.StatusOK,
		"https://iam.example.goog/v1/projects/demo-project/serviceAccounts":                              http.StatusUnauthorized,
		"https://iam.mtls.example.goog/v1/projects/demo-project/serviceAccounts":                         http.StatusUnauthorized,
		"https://iamcredentials.example.goog/v1/projects/-/serviceAccounts/a@b.example/allowedLocations": http.StatusUnauthorized,
		"https://sts.example.goog/v1/token":                                                              http.StatusNotFound, // GET
		"https://storage.example.goog/storage/v1/b":                                                      http.StatusNotFound,
		"https://www.googleapis.com/oauth2/v3/certs":                                                     http.StatusOK,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := emu.Client().Do(request)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != want {
			t.Errorf("%s is answered with %s, want %d: %s, %v", address, response.Status, want, body, err)
		}
		_ = response.Body.Close()
	}
	other := servertest.New(t)
	if response, err := other.Client().Get("https://www.example.goog/oauth2/v3/certs"); err == nil {
		_ = response.Body.Close()
		t.Error("an emulator of Google's universe answers for a name of another one")
	}
}

// In a universe of its own, libraries sign JWTs themselves, for the API's name there.
func TestSelfSignedInUniverse(t *testing.T) {
	t.Parallel()
	emu := servertest.New(t, servertest.Strict(), servertest.YAML(universe+`
serviceAccounts: [{email: worker@demo-project.iam.gserviceaccount.com}, {email: target@demo-project.iam.gserviceaccount.com}]
policies:
  - resource: serviceAccounts/target@demo-project.iam.gserviceaccount.com
    bindings: [{role: roles/iam.serviceAccountTokenCreator, members: ["serviceAccount:worker@demo-project.iam.gserviceaccount.com"]}]
`))
	for audience, want := range map[string]int{
		"https://iamcredentials.example.goog/":   http.StatusOK,
		"https://iamcredentials.googleapis.com/": http.StatusOK,
		"https://storage.example.goog/":          http.StatusUnauthorized,
		"https://iamcredentials.example.org/":    http.StatusUnauthorized,
	} {
		const worker = "worker@demo-project.iam.gserviceaccount.com"
		signed := emu.Mint(servertest.Order{
			Kind: token.KindJWT, Account: worker, Audience: audience, Claims: map[string]any{"iss": worker, "sub": worker},
		})
		status, answer := send(t, emu, signed, "https://iamcredentials.example.goog/v1/projects/-/serviceAccounts/target@demo-project.iam.gserviceaccount.com:generateAccessToken",
			map[string]any{"scope": []string{"https://www.googleapis.com/auth/cloud-platform"}})
		if status != want {
			t.Errorf("a JWT for %s is answered with %d %v, want %d", audience, status, answer, want)
		}
	}
}

// Clients learn of the universe by their environment.
func TestEnvironmentOfUniverse(t *testing.T) { //nolint:paralleltest // Setenv
	t.Setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "other.example")
	servertest.New(t, servertest.YAML(universe)).Setenv(t)
	for _, name := range []string{"GOOGLE_CLOUD_UNIVERSE_DOMAIN", "CLOUDSDK_CORE_UNIVERSE_DOMAIN"} {
		if got := os.Getenv(name); got != "example.goog" {
			t.Errorf("%s is %q", name, got)
		}
	}
	servertest.New(t).Setenv(t)
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasSuffix(name, "UNIVERSE_DOMAIN") {
			t.Errorf("in Google's own universe, the environment has %s", entry)
		}
	}
}
