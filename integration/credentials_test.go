package integration_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	user          = "dev@example.com"
	workloadPool  = "projects/" + projectNumber + "/locations/global/workloadIdentityPools/demo-pool"
	workforcePool = "locations/global/workforcePools/demo-workforce"
)

// bearer describes a token's principal, in the control plane's answer to other emulators.
type bearer struct {
	Kind, Principal, Email, UniqueID string
	Scopes                           []string
	Expires                          time.Time
	AccessBoundary                   json.RawMessage
}

// bearerOf asks the service's emulator, which did not issue the token, for the token's principal.
func (r *rig) bearerOf(t *testing.T, token string) bearer {
	t.Helper()
	question, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.service+"/emulator/v1/tokens:principal", bytes.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%.30q…: %s\n%s", token, response.Status, &answer)
	}
	return report[bearer](t, answer.Bytes())
}

// principals returns the principals of the files that with-files.sh writes.
func (r *rig) principals(t *testing.T) map[string]string {
	t.Helper()
	const target = "serviceAccount:" + targetAccount
	return map[string]string{
		"service-account":                  "serviceAccount:" + workerAccount,
		"authorized-user":                  "user:" + user,
		"external-account":                 "principal://iam.googleapis.com/" + workloadPool + "/subject/" + r.uniqueID(t, defaultAccount),
		"external-account-impersonates":    target,
		"external-account-authorized-user": "principal://iam.googleapis.com/" + workforcePool + "/subject/" + user,
		"impersonated-by-key":              target,
		"impersonated-by-external-account": target,
	}
}

// checkFile checks the token that a library got with a file.
func (r *rig) checkFile(t *testing.T, principal, token string, expiry time.Time) {
	t.Helper()
	got := r.bearerOf(t, token)
	if got.Kind != "access" || got.Principal != principal || !slices.Contains(got.Scopes, cloudPlatform) {
		t.Errorf("the %s token is of %q for %q, want of %q for %q", got.Kind, got.Principal, got.Scopes, principal, cloudPlatform)
	}
	checkExpiry(t, "access token", expiry)
}

// withFiles runs a client with a directory of credential files, against an emulator with
// --strict.
func (r *rig) withFiles(t *testing.T, flags []string, client func(folder string) []string) []byte {
	t.Helper()
	folder := t.TempDir()
	writer := []string{"sh", "clients/with-files.sh", r.stage.Emulator, folder, workerAccount, targetAccount}
	return r.execWith(t, append([]string{"--strict"}, flags...), append(writer, client(folder)...)...)
}

func TestGoFiles(t *testing.T) {
	r := newRig(t)
	got := report[map[string]struct {
		Auth, OAuth2           accessToken
		AuthError, OAuth2Error string
	}](t, r.withFiles(t, nil, func(folder string) []string { return []string{r.stage.GoCloud, "files", folder} }))
	for name, principal := range r.principals(t) {
		t.Run(name, func(t *testing.T) {
			file := got[name]
			if file.OAuth2Error != "" {
				t.Fatalf("x/oauth2: %s", file.OAuth2Error)
			}
			r.checkFile(t, principal, file.OAuth2.Value, file.OAuth2.Expiry)
			if name == "authorized-user" {
				return // this library only accepts Google's token endpoint
			}
			if file.AuthError != "" {
				t.Fatalf("auth: %s", file.AuthError)
			}
			r.checkFile(t, principal, file.Auth.Value, file.Auth.Expiry)
		})
	}
}

// libraryToken is an access token, or the error of the library.
type libraryToken struct {
	Value, Error string
	Expiry       time.Time
}

func (r *rig) checkDownscoped(t *testing.T, token string, expiry time.Time) {
	t.Helper()
	got := r.bearerOf(t, token)
	if got.Email != defaultAccount || !strings.Contains(string(got.AccessBoundary), "/buckets/some-bucket") {
		t.Errorf("the token is of %q within %s", got.Email, got.AccessBoundary)
	}
	checkExpiry(t, "downscoped token", expiry)
}

func TestGoDownscoped(t *testing.T) {
	r := newRig(t)
	got := report[accessToken](t, r.exec(t, r.stage.GoCloud, "downscoped"))
	r.checkDownscoped(t, got.Value, got.Expiry)
}

func TestPythonFiles(t *testing.T) {
	python, library := googleAuth(t)
	r := newRig(t)
	got := report[map[string]libraryToken](t, r.withFiles(t, nil, func(folder string) []string {
		// The library cannot use the files of users and of impersonation, because Google's hosts
		// are compiled into it.
		return []string{
			"sh", "-c", `rm "$1"/authorized-user.json "$1"/impersonated-*.json && shift && exec "$@"`, "sh", folder,
			"env", "PYTHONPATH=" + library, "PYTHONDONTWRITEBYTECODE=1", python, "clients/python/files.py", folder,
		}
	}))
	principals := r.principals(t)
	for _, name := range []string{"service-account", "external-account", "external-account-impersonates", "external-account-authorized-user"} {
		t.Run(name, func(t *testing.T) {
			if got[name].Error != "" {
				t.Fatal(got[name].Error)
			}
			r.checkFile(t, principals[name], got[name].Value, got[name].Expiry)
		})
	}
	t.Run("downscoped", func(t *testing.T) { r.checkDownscoped(t, got["downscoped"].Value, got["downscoped"].Expiry) })
}

func TestNodeFiles(t *testing.T) {
	needNode(t, theStage())
	r := newRig(t)
	names := []string{"external-account", "external-account-impersonates", "external-account-authorized-user"}
	got := report[map[string]libraryToken](t, r.withFiles(t, nil, func(folder string) []string {
		client := []string{r.stage.Node, nodeFolder + "/files.mjs"}
		for _, name := range names {
			client = append(client, filepath.Join(folder, name+".json"))
		}
		return client
	}))
	principals := r.principals(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) { r.checkFile(t, principals[name], got[name].Value, got[name].Expiry) })
	}
}

// Attempts of libraries with Google's token endpoints compiled in. No file changes these endpoints.
const (
	asksTokens   = "oauth2.googleapis.com"
	asksOldToken = "www.googleapis.com"
)

// fileClient is a library that gets every credential file.
type fileClient struct {
	name    string
	command func(t *testing.T) []string // skips the test if the library is not installed
	flags   []string                    // flags of exec
	works   []string                    // the files with which it gets a token of the file's principal
	fails   map[string]string           // its error messages for the other files
}

func fileClients() []fileClient {
	const unknown, needsTLS = "not recognized", "The provided token URL is invalid"
	withTLS := []string{"--reach", "proxy", "--tls-listen", "127.0.0.1:0"}
	byJava := func(library func(*testing.T) string) func(*testing.T) []string {
		return func(t *testing.T) []string {
			t.Helper()
			return append(java(t, library(t), "clients/java/Files.java"), "Files")
		}
	}
	return []fileClient{
		{
			name: "Java 1.23", command: byJava(javaOfGcloud),
			works: []string{"service-account", "external-account-authorized-user", "impersonated-by-key"},
			fails: map[string]string{
				"authorized-user": asksTokens, "external-account": needsTLS, "external-account-impersonates": needsTLS,
				"impersonated-by-external-account": "not supported as source credential",
			},
		},
		{
			name: "Java 1.23 with TLS", command: byJava(javaOfGcloud), flags: withTLS,
			works: []string{
				"service-account", "authorized-user", "external-account", "external-account-impersonates",
				"external-account-authorized-user", "impersonated-by-key",
			},
			fails: map[string]string{"impersonated-by-external-account": "not supported as source credential"},
		},
		{
			name: "Java 0.18", command: byJava(javaOfDebian),
			works: []string{"service-account"},
			fails: map[string]string{
				"authorized-user": asksTokens, "external-account": unknown, "external-account-impersonates": unknown,
				"external-account-authorized-user": unknown, "impersonated-by-key": unknown, "impersonated-by-external-account": unknown,
			},
		},
		{
			name: "Ruby 0.13",
			command: func(t *testing.T) []string {
				t.Helper()
				return []string{rubyOfDebian(t), "-W0", "clients/ruby/files.rb"}
			},
			fails: map[string]string{
				"service-account": asksOldToken, "authorized-user": asksTokens, "external-account": "not supported", "external-account-impersonates": "not supported",
				"external-account-authorized-user": "not supported", "impersonated-by-key": "not supported", "impersonated-by-external-account": "not supported",
			},
		},
	}
}

// TestFiles gives libraries the files that lead to the emulator, and files that do not. The
// latter must fail in the known way.
func TestFiles(t *testing.T) {
	r := newRig(t)
	principals := r.principals(t)
	for _, client := range fileClients() {
		t.Run(client.name, func(t *testing.T) {
			command := client.command(t)
			names := slices.Concat(client.works, slices.Sorted(maps.Keys(client.fails)))
			if asked := slices.Sorted(slices.Values(names)); !slices.Equal(asked, slices.Sorted(maps.Keys(principals))) {
				t.Fatalf("the test knows of %q, want every file", asked)
			}
			if r.stage.Escapes == "" { // the libraries could reach Google
				names = slices.DeleteFunc(names, func(name string) bool {
					return client.fails[name] == asksTokens || client.fails[name] == asksOldToken
				})
			}
			r.asks = []string{"query for " + asksTokens, "query for " + asksOldToken}
			defer func() { r.asks = nil }()
			got := report[map[string]libraryToken](t, r.withFiles(t, client.flags, func(folder string) []string {
				line := command
				for _, name := range names {
					line = append(line, filepath.Join(folder, name+".json"))
				}
				return line
			}))
			for _, name := range names {
				t.Run(name, func(t *testing.T) { r.checkOutcome(t, principals[name], client.fails[name], got[name]) })
			}
		})
	}
}

// checkOutcome checks the token that a library got with a file, or its error if the library is
// known to fail.
func (r *rig) checkOutcome(t *testing.T, principal, fails string, got libraryToken) {
	t.Helper()
	switch {
	case fails == "" && got.Error != "":
		t.Error(got.Error)
	case fails == "":
		r.checkFile(t, principal, got.Value, got.Expiry)
	case !strings.Contains(got.Error, fails):
		t.Errorf("it says %q, and has the token %q, want that it fails: %q", got.Error, got.Value, fails)
	}
}
