package integration_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What clients are asked for, as their programs call it, and as the README does.
const (
	wantMetadata    = "metadata"
	wantAccess      = "access"
	wantIdentity    = "identity"
	wantKey         = "key"
	wantImpersonate = "impersonate"
	wantVerify      = "verify"
)

type wanted struct{ name, title string }

func allWanted() []wanted {
	return []wanted{
		{wantMetadata, "metadata"},
		{wantAccess, "access token"},
		{wantIdentity, "ID token"},
		{wantKey, "key file"},
		{wantImpersonate, "impersonation"},
		{wantVerify, "its own verifier"},
	}
}

// reaches are the ways by which a client finds the emulator.
func reaches() []string { return []string{"env", "proxy", "namespace"} }

// hostCompiledIn is why most things fail that fail.
const hostCompiledIn = "its host is compiled in"

// matrixClient is a row of the matrix. What cannot work is not tried, and says why.
type matrixClient struct {
	name     string
	command  func(t *testing.T, r *rig) []string // skips the test where the client is not installed
	metadata string                              // what it reads there
	never    map[string]string                   // what it cannot do at all
	notByEnv map[string]string                   // what variables cannot lead to the emulator
	asks     string                              // how it tries to leave the machine, though it needs nothing there
}

func matrixClients() []matrixClient {
	apis := map[string]string{wantImpersonate: hostCompiledIn, wantVerify: hostCompiledIn}
	keysToo := map[string]string{wantKey: hostCompiledIn, wantImpersonate: hostCompiledIn, wantVerify: hostCompiledIn}
	return []matrixClient{
		{name: "Go", metadata: projectID, notByEnv: apis, command: func(_ *testing.T, r *rig) []string {
			return []string{r.stage.GoCloud, "matrix"}
		}},
		{name: "Node", metadata: projectID, notByEnv: keysToo, command: func(t *testing.T, r *rig) []string {
			t.Helper()
			needNode(t, r.stage)
			return []string{r.stage.Node, nodeFolder + "/matrix.mjs"}
		}},
		{name: "Python", metadata: projectID, notByEnv: apis, command: func(t *testing.T, _ *rig) []string {
			t.Helper()
			python, folder := googleAuth(t)
			return []string{"env", "PYTHONPATH=" + folder, "PYTHONDONTWRITEBYTECODE=1", python, "clients/python/matrix.py"}
		}},
		{name: "gcloud", metadata: defaultAccount, never: map[string]string{wantVerify: "it has none"}, command: func(t *testing.T, _ *rig) []string {
			t.Helper()
			lookPath(t, "gcloud", "gcloud is not installed:")
			return []string{"clients/gcloud/matrix.sh"}
		}},
		{name: "Java 1.23", metadata: defaultAccount, notByEnv: apis, command: javaOfGcloud},
		{name: "Java 0.18", metadata: defaultAccount, never: map[string]string{wantVerify: "it has none"}, notByEnv: apis, command: javaOfDebian},
		{
			name: "Ruby 0.13", metadata: "true", asks: rubyAsks,
			never: map[string]string{wantImpersonate: "it has none", wantVerify: "fails with OpenSSL 3"},
			notByEnv: map[string]string{
				wantMetadata: hostCompiledIn, wantAccess: hostCompiledIn, wantIdentity: hostCompiledIn, wantKey: hostCompiledIn,
			},
			command: func(t *testing.T, _ *rig) []string {
				t.Helper()
				ruby := lookPath(t, "ruby", "ruby is not installed:")
				if output, err := exec.Command(ruby, "-W0", "-e", `require "googleauth/version"; print Google::Auth::VERSION`).CombinedOutput(); err != nil {
					skip(t, "googleauth for Ruby is not installed:", err)
				} else if !strings.HasPrefix(string(output), "0.") {
					skip(t, "this is another googleauth for Ruby:", string(output))
				}
				return []string{ruby, "-W0", "clients/ruby/matrix.rb"}
			},
		},
		{name: "curl", metadata: projectID, never: map[string]string{wantKey: "it signs nothing"}, command: func(t *testing.T, _ *rig) []string {
			t.Helper()
			lookPath(t, "curl", "curl is not installed:")
			return []string{"clients/curl/matrix.sh"}
		}},
	}
}

// javaOfGcloud is Google's library as the Pub/Sub emulator has it, which is a component of gcloud.
func javaOfGcloud(t *testing.T, _ *rig) []string {
	t.Helper()
	gcloud, err := filepath.EvalSymlinks(lookPath(t, "gcloud", "Google's Java library comes with gcloud's Pub/Sub emulator:"))
	if err != nil {
		t.Fatal(err)
	}
	pattern := filepath.Join(filepath.Dir(filepath.Dir(gcloud)), "platform", "pubsub-emulator", "lib", "cloud-pubsub-emulator-*-all.jar")
	jars, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(jars) == 0 {
		skip(t, "gcloud's Pub/Sub emulator, with which Google's Java library comes, is not installed")
	}
	return java(t, jars[0], "clients/java/Verifier.java")
}

// javaOfDebian is Google's library as Debian packs it.
func javaOfDebian(t *testing.T, _ *rig) []string {
	t.Helper()
	const folder = "/usr/share/java/"
	if _, err := os.Stat(folder + "google-auth-library-oauth2-http-0.18.0.jar"); err != nil {
		skip(t, "Debian's libgoogle-auth-java is not installed:", err)
	}
	var jars []string
	for _, name := range []string{
		"google-auth-library-oauth2-http", "google-auth-library-credentials", "google-http-client", "google-http-client-gson", "google-http-client-jackson2",
		"gson", "guava", "jackson-core", "opencensus-api", "opencensus-contrib-http-util", "grpc-context", "httpclient", "httpcore", "commons-codec", "commons-logging",
	} {
		jars = append(jars, folder+name+".jar")
	}
	return java(t, strings.Join(jars, ":"))
}

// java compiles the client, and what more it may have.
func java(t *testing.T, classpath string, more ...string) []string {
	t.Helper()
	javac := lookPath(t, "javac", "javac is not installed:")
	vm := lookPath(t, "java", "java is not installed:")
	classes := t.TempDir()
	line := append([]string{"-cp", classpath, "-d", classes, "clients/java/Matrix.java"}, more...)
	if output, err := exec.Command(javac, line...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return []string{vm, "-cp", classpath + ":" + classes, "Matrix"}
}

// needNamespace skips a test, aloud, where no namespace can be made.
func needNamespace(t *testing.T) {
	t.Helper()
	if output, err := exec.Command("unshare", "--map-root-user", "--net", "--mount", "true").CombinedOutput(); err != nil {
		skip(t, "no namespace can be made:", err, string(output))
	}
}

// try asks a client for what it can get by a reach, and checks what it got.
func (c matrixClient) try(t *testing.T, r *rig, reach string, command []string) {
	t.Helper()
	r.asks = c.asks
	defer func() { r.asks = "" }()
	keyFile := filepath.Join(t.TempDir(), "key.json")
	line := append([]string{"sh", "clients/with-key-file.sh", r.stage.Emulator, workerAccount, keyFile}, command...)
	line = append(line, keyFile, audience, targetAccount)
	for _, one := range allWanted() {
		if c.whyNot(one.name, reach) == "" {
			line = append(line, one.name)
		}
	}
	got := report[map[string]string](t, r.reach(t, reach, line))
	for name, value := range got {
		switch name {
		case wantMetadata:
			if value != c.metadata {
				t.Errorf("metadata %q, want %q", value, c.metadata)
			}
		case wantAccess:
			r.checkAccessToken(t, value, defaultAccount)
		case wantIdentity:
			r.checkIDToken(t, name, value, r.instanceClaims(t))
		case wantKey:
			r.checkAccessToken(t, value, workerAccount)
		case wantImpersonate:
			r.checkAccessToken(t, value, targetAccount)
		case wantVerify:
			if id := r.uniqueID(t, defaultAccount); value != id {
				t.Errorf("the verifier saw %q, want %q", value, id)
			}
		}
	}
}

// whyNot says why a client cannot have something by a reach; empty: it can.
func (c matrixClient) whyNot(name, reach string) string {
	if why := c.never[name]; why != "" || reach != "env" {
		return why
	}
	return c.notByEnv[name]
}

// reach runs a client by a reach.
func (r *rig) reach(t *testing.T, reach string, client []string) []byte {
	t.Helper()
	if reach != "namespace" {
		return r.execWith(t, []string{"--reach", reach}, client...)
	}
	command := exec.CommandContext(t.Context(), "../scripts/namespace", append([]string{"--state-dir", r.state, "--"}, client...)...)
	var stdout, stderr bytes.Buffer
	command.Env, command.Stdout, command.Stderr = append(r.environment(), "GCP_METADATA_EMULATOR="+r.stage.Emulator), &stdout, &stderr
	endWithParent(command)
	if err := command.Run(); err != nil {
		t.Fatalf("%q: %v\nstdout: %s\nstderr: %s", client, err, &stdout, &stderr)
	}
	return stdout.Bytes()
}

// row is what the README says of a client for which everything worked that can.
func (c matrixClient) row() string {
	cells := []string{c.name}
	for _, one := range allWanted() {
		switch never, byEnv := c.never[one.name], c.notByEnv[one.name]; {
		case never != "":
			cells = append(cells, "no: "+never)
		case byEnv != "":
			cells = append(cells, strings.Join(reaches()[1:], ", ")+"; not env: "+byEnv)
		default:
			cells = append(cells, "all")
		}
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// TestMatrix runs each client by each reach, and compares the table of the README with what it saw.
func TestMatrix(t *testing.T) {
	r := newRig(t)
	var rows []string
	for _, client := range matrixClients() {
		done := 0
		passed := t.Run(client.name, func(t *testing.T) {
			command := client.command(t, r)
			for _, reach := range reaches() {
				t.Run(reach, func(t *testing.T) {
					if reach == "namespace" {
						needNamespace(t)
					}
					client.try(t, r, reach, command)
					done++
				})
			}
		})
		if passed && done == len(reaches()) {
			rows = append(rows, client.row())
		}
	}
	compareMatrix(t, rows)
}

// compareMatrix finds each row in the README, or puts it there.
func compareMatrix(t *testing.T, rows []string) {
	t.Helper()
	const file, begin, end = "../README.md", "<!-- matrix -->\n", "<!-- end of matrix -->\n"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	old, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the matrix", file)
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(before+begin+table(rows, old)+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, row := range rows {
		if !slices.Contains(strings.Split(old, "\n"), row) {
			t.Errorf("%s does not have this row (go test -run TestMatrix -update writes it):\n%s", file, row)
		}
	}
}

// table has the new rows, and the old ones of clients that have none.
func table(rows []string, old string) string {
	titles := []string{"client"}
	for _, one := range allWanted() {
		titles = append(titles, one.title)
	}
	lines := []string{"| " + strings.Join(titles, " | ") + " |", strings.Repeat("|---", len(titles)) + "|"}
	for _, client := range matrixClients() {
		beginning := "| " + client.name + " |"
		isIts := func(row string) bool { return strings.HasPrefix(row, beginning) }
		if i := slices.IndexFunc(rows, isIts); i >= 0 {
			lines = append(lines, rows[i])
		} else if known := slices.DeleteFunc(strings.Split(old, "\n"), func(row string) bool { return !isIts(row) }); len(known) > 0 {
			lines = append(lines, known[0])
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
