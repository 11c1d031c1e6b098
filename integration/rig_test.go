package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gcp-metadata-emulator/server/emulatortest/aloud"
)

// The emulator's default fixture.
const (
	projectID      = "demo-project"
	projectNumber  = "123456789012"
	instanceName   = "demo-vm"
	zone           = "us-central1-a"
	defaultAccount = projectNumber + "-compute@developer.gserviceaccount.com"
	workerAccount  = "worker@demo-project.iam.gserviceaccount.com"
	targetAccount  = "target@demo-project.iam.gserviceaccount.com"

	audience      = "https://service.example.com/path"
	cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"
)

// patience limits how long a client or the emulator's start may take on a slow machine.
const patience = 10 * time.Minute

// rig is a state directory with its emulators: one for the service, which reads the published keys,
// and one for each client, which exec starts and stops.
type rig struct {
	stage   stage
	state   string // the state directory
	home    string // the clients' home directory
	service string // the base URL of the service's emulator

	asks []string // the client's known attempts to leave the machine

	// preset holds variables of exec's caller, besides the few that every program needs.
	preset []string
}

// newRig starts an emulator with new keys.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{stage: theStage(), state: filepath.Join(t.TempDir(), "state"), home: t.TempDir()}
	r.service = r.serve(t)
	return r
}

// environment returns the complete environment of exec's caller. It contains no variable of the
// developer for proxies, certificates or Google.
func (r *rig) environment() []string {
	least := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + r.home,
		"TMPDIR=" + r.home,
		"LANG=C.UTF-8",
	}
	return append(least, r.preset...)
}

// serve starts an emulator that runs as long as the test, and returns its base URL when it is
// ready.
func (r *rig) serve(t *testing.T) string {
	t.Helper()
	urlFile := filepath.Join(t.TempDir(), "url")
	var log bytes.Buffer
	command := exec.Command(r.stage.Emulator, "serve", "--listen", "127.0.0.1:0", "--state-dir", r.state, "--url-file", urlFile)
	command.Env, command.Stderr = r.environment(), &log
	endWithParent(command)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("serve ended with %v\n%s", err, &log)
		}
	})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("serve ended before it was ready: %v\n%s", err, &log)
		case <-late:
			t.Fatalf("serve wrote no URL in %v", patience)
		case <-tick.C:
			if base, err := os.ReadFile(urlFile); err == nil {
				return strings.TrimSpace(string(base))
			}
		}
	}
}

// exec runs a client under the emulator's exec, and returns the client's output.
func (r *rig) exec(t *testing.T, client ...string) []byte {
	t.Helper()
	return r.execWith(t, nil, client...)
}

// execWith is exec with additional flags for the emulator.
func (r *rig) execWith(t *testing.T, flags []string, client ...string) []byte {
	t.Helper()
	arguments := append([]string{"exec", "--state-dir", r.state}, flags...)
	return r.run(t, append(append(arguments, "--"), client...)...)
}

// execWithKeyFile is exec for a client that uses a key file of the worker account. It first
// writes that file.
func (r *rig) execWithKeyFile(t *testing.T, keyFile string, client ...string) []byte {
	t.Helper()
	writer := []string{"sh", "clients/with-key-file.sh", r.stage.Emulator, workerAccount, keyFile}
	return r.exec(t, append(writer, client...)...)
}

// run runs the emulator's binary and returns its output. The test fails if the binary fails, or
// if a process tries to leave the machine meanwhile.
func (r *rig) run(t *testing.T, arguments ...string) []byte {
	t.Helper()
	stdout, stderr, err := r.try(t, arguments...)
	if err != nil {
		t.Fatalf("%q: %v\nstdout: %s\nstderr: %s", arguments, err, stdout, stderr)
	}
	return stdout
}

// try is run for a program that may fail.
func (r *rig) try(t *testing.T, arguments ...string) (printed, complained []byte, err error) {
	t.Helper()
	before := len(readEscapes(r.stage.Escapes))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, r.stage.Emulator, arguments...)
	command.Env, command.Stdout, command.Stderr = r.environment(), &stdout, &stderr
	command.WaitDelay = patience
	endWithParent(command)
	err = command.Run()
	var escapes []string
	for _, escape := range readEscapes(r.stage.Escapes)[before:] {
		if slices.Contains(r.asks, escape) {
			knowEscape(t, r.stage, escape)
			continue
		}
		escapes = append(escapes, escape)
	}
	if len(escapes) > 0 {
		t.Errorf("%q tried to leave the machine: %q", arguments, escapes)
	}
	return stdout.Bytes(), stderr.Bytes(), err
}

// report decodes a client's output.
func report[T any](t *testing.T, output []byte) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(bytes.NewReader(output))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("a client printed what the test does not know: %v\n%s", err, output)
	}
	return value
}

// fetch returns a JSON document of the service's emulator.
func (r *rig) fetch(t *testing.T, path string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.service+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Metadata-Flavor", "Google") // required by the metadata server
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s\n%s", path, response.Status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("GET %s: %v\n%s", path, err, body)
	}
}

// uniqueID returns the account's unique ID, which its key file names as client ID.
func (r *rig) uniqueID(t *testing.T, account string) string {
	t.Helper()
	key := report[map[string]string](t, r.run(t, "credentials", "service-account", "--url", r.service, "--account", account))
	if key["client_email"] != account || key["client_id"] == "" {
		t.Fatalf("key file of %s: client_email %q, client_id %q", account, key["client_email"], key["client_id"])
	}
	return key["client_id"]
}

// checkAccessToken asks the service's emulator, which did not issue the token, to describe it.
func (r *rig) checkAccessToken(t *testing.T, token, account string) {
	t.Helper()
	if !strings.HasPrefix(token, "ya29.c.") {
		t.Errorf("access token %.20q… does not look like Google's", token)
	}
	var info struct {
		AuthorizedParty string `json:"azp"`
		Audience        string `json:"aud"`
		Scope           string `json:"scope"`
		Email           string `json:"email"`
		ExpiresIn       string `json:"expires_in"`
	}
	r.fetch(t, "/tokeninfo?access_token="+url.QueryEscape(token), &info)
	if id := r.uniqueID(t, account); info.AuthorizedParty != id || info.Audience != id {
		t.Errorf("access token: azp %q, aud %q, want %q of %s", info.AuthorizedParty, info.Audience, id, account)
	}
	// gcloud requests more scopes than the libraries, and sometimes also the e-mail address.
	scopes, email := strings.Fields(info.Scope), ""
	if slices.Contains(scopes, "https://www.googleapis.com/auth/userinfo.email") {
		email = account
	}
	if !slices.Contains(scopes, cloudPlatform) || info.Email != email {
		t.Errorf("access token: scope %q, email %q, want %q among the scopes, and email %q", info.Scope, info.Email, cloudPlatform, email)
	}
	if left, err := time.ParseDuration(info.ExpiresIn + "s"); err != nil || left <= 50*time.Minute || left > time.Hour {
		t.Errorf("access token: expires in %qs, want nearly an hour", info.ExpiresIn)
	}
}

// checkExpiry checks that a library expects a token to be valid for about an hour.
func checkExpiry(t *testing.T, what string, expiry time.Time) {
	t.Helper()
	if left := time.Until(expiry); left < 50*time.Minute || left > time.Hour+time.Second {
		t.Errorf("%s: expires in %v, want nearly an hour", what, left)
	}
}

// lookPath finds a program. If it is missing, the test is skipped with a message.
func lookPath(t *testing.T, program, without string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) {
		skip(t, without, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// skip skips a test aloud.
func skip(t *testing.T, reason ...any) {
	t.Helper()
	aloud.Skip(t, reason...)
}
