package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hostCompiledIn is why variables do not lead to the emulator what they do not lead there.
const hostCompiledIn = "its host is compiled in"

// Whom clients ask for what variables do not lead to the emulator.
const (
	askMetadata       = "connection to 169.254.169.254:80"
	askCertificates   = "query for www.googleapis.com"
	askTokens         = "query for oauth2.googleapis.com"
	askIAMCredentials = "query for iamcredentials.googleapis.com"
)

// matrixClient is a row of the matrix.
type matrixClient struct {
	name     string
	command  func(t *testing.T, r *rig) []string // skips the test where the client is not installed
	metadata string                              // what it reads there
	asks     []string                            // how it tries to leave the machine, though it needs nothing there

	// What is tried all the same, and has to fail.
	notByEnv map[string]string // what variables cannot lead to the emulator, and whom it asks then
	never    map[string]excuse // what it cannot do by any other reach

	// lacks is what it has no means for, so that there is nothing to try, and why.
	lacks map[string]string
}

// excuse is why a client cannot do something, for people, and what the client says to it.
type excuse struct{ why, says string }

func matrixClients() []matrixClient {
	apis := map[string]string{wantImpersonate: askIAMCredentials, wantVerify: askCertificates}
	return []matrixClient{
		{name: "Go", metadata: projectID, notByEnv: apis, command: func(_ *testing.T, r *rig) []string {
			return []string{r.stage.GoCloud, "matrix"}
		}},
		{
			name: "Node", metadata: projectID,
			notByEnv: map[string]string{wantKey: askTokens, wantImpersonate: askIAMCredentials, wantVerify: askCertificates},
			command: func(t *testing.T, r *rig) []string {
				t.Helper()
				needNode(t, r.stage)
				return []string{r.stage.Node, nodeFolder + "/matrix.mjs"}
			},
		},
		{name: "Python", metadata: projectID, notByEnv: apis, command: func(t *testing.T, _ *rig) []string {
			t.Helper()
			python, folder := googleAuth(t)
			return []string{"env", "PYTHONPATH=" + folder, "PYTHONDONTWRITEBYTECODE=1", python, "clients/python/matrix.py"}
		}},
		{name: "gcloud", metadata: defaultAccount, lacks: map[string]string{wantVerify: "it has none"}, command: func(t *testing.T, _ *rig) []string {
			t.Helper()
			lookPath(t, "gcloud", "gcloud is not installed:")
			return []string{"clients/gcloud/matrix.sh"}
		}},
		{name: "Java 1.23", metadata: defaultAccount, notByEnv: apis, command: javaMatrix(javaOfGcloud, "clients/java/Verifier.java")},
		{
			name: "Java 0.18", metadata: defaultAccount, notByEnv: map[string]string{wantImpersonate: askIAMCredentials},
			never:   map[string]excuse{wantVerify: {"it has none", "ClassNotFoundException: com.google.auth.oauth2.TokenVerifier"}},
			command: javaMatrix(javaOfDebian),
		},
		{
			name: "Ruby 0.13", metadata: projectID, asks: []string{rubyAsks},
			notByEnv: map[string]string{
				wantMetadata: askMetadata, wantAccess: askMetadata, wantIdentity: askMetadata, wantKey: askCertificates, wantVerify: askMetadata,
			},
			never: map[string]excuse{
				wantImpersonate: {"it has none", "uninitialized constant Google::Auth::ImpersonatedServiceAccountCredentials"},
				wantVerify:      {"fails with OpenSSL 3", "is incompatible with OpenSSL 3.0"},
			},
			command: func(t *testing.T, _ *rig) []string {
				t.Helper()
				return []string{rubyOfDebian(t), "-W0", "clients/ruby/matrix.rb"}
			},
		},
		{
			name: "curl", metadata: projectID, lacks: map[string]string{wantKey: "it signs nothing", wantVerify: "it verifies nothing"},
			command: func(t *testing.T, _ *rig) []string {
				t.Helper()
				lookPath(t, "curl", "curl is not installed:")
				return []string{"clients/curl/matrix.sh"}
			},
		},
	}
}

// rubyOfDebian is Ruby with Google's library as Debian packs it.
func rubyOfDebian(t *testing.T) string {
	t.Helper()
	ruby := lookPath(t, "ruby", "ruby is not installed:")
	if output, err := exec.Command(ruby, "-W0", "-e", `require "googleauth/version"; print Google::Auth::VERSION`).CombinedOutput(); err != nil {
		skip(t, "googleauth for Ruby is not installed:", err)
	} else if !strings.HasPrefix(string(output), "0.") {
		skip(t, "this is another googleauth for Ruby:", string(output))
	}
	return ruby
}

// javaOfGcloud is Google's library as the Pub/Sub emulator has it, which is a component of gcloud.
func javaOfGcloud(t *testing.T) (classpath string) {
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
	return jars[0]
}

// javaOfDebian is Google's library as Debian packs it.
func javaOfDebian(t *testing.T) (classpath string) {
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
	return strings.Join(jars, ":")
}

// javaMatrix is the client of the matrix with a library, and what more it may have.
func javaMatrix(library func(*testing.T) string, more ...string) func(*testing.T, *rig) []string {
	return func(t *testing.T, _ *rig) []string {
		t.Helper()
		return append(java(t, library(t), append([]string{"clients/java/Matrix.java"}, more...)...), "Matrix")
	}
}

// java compiles classes, and is the command that runs one of them.
func java(t *testing.T, classpath string, sources ...string) []string {
	t.Helper()
	javac := lookPath(t, "javac", "javac is not installed:")
	vm := lookPath(t, "java", "java is not installed:")
	classes := t.TempDir()
	if output, err := exec.Command(javac, append([]string{"-cp", classpath, "-d", classes}, sources...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return []string{vm, "-cp", classpath + ":" + classes}
}
