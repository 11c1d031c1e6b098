package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hostCompiledIn is the reason why environment variables do not lead a client to the emulator.
const hostCompiledIn = "its host is compiled in"

// The attempts of clients that environment variables do not lead to the emulator.
const (
	askMetadata       = "connection to 169.254.169.254:80"
	askCertificates   = "query for www.googleapis.com"
	askTokens         = "query for oauth2.googleapis.com"
	askIAMCredentials = "query for iamcredentials.googleapis.com"
)

// matrixClient is a row of the matrix.
type matrixClient struct {
	name     string
	command  func(t *testing.T, r *rig) []string // skips the test if the client is not installed
	metadata string                              // the metadata that it reads
	asks     []string                            // known attempts to leave the machine that it does not need

	// Requests that must fail.
	notByEnv map[string]string // requests that environment variables cannot lead to the emulator, with the client's attempt instead
	never    map[string]excuse // requests that fail with every reach

	// lacks holds requests for which the client has no feature, with the reason, so the test does
	// not try them.
	lacks map[string]string
}

// excuse is the reason, for people, why a client cannot do something, and the client's own error
// message.
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

// rubyOfDebian runs Ruby with Google's library from Debian.
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

// javaOfGcloud runs Google's library from the Pub/Sub emulator, which is a component of gcloud.
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

// javaOfDebian runs Google's library from Debian.
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

// javaMatrix runs the matrix program with a library and further classes.
func javaMatrix(library func(*testing.T) string, more ...string) func(*testing.T, *rig) []string {
	return func(t *testing.T, _ *rig) []string {
		t.Helper()
		return append(java(t, library(t), append([]string{"clients/java/Matrix.java"}, more...)...), "Matrix")
	}
}

// java compiles classes, and returns the command that runs one of them.
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
