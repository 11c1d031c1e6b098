package integration_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// byProxy returns the flags that make an emulator the proxy of its command.
func byProxy() []string { return []string{"--reach", "proxy"} }

// compiledIn holds a client's results from hosts that are compiled into it.
type compiledIn struct {
	AccessToken, IDToken, Email, ImpersonatedAccessToken string
}

// checkCompiledIn runs a client with the worker's key file, through the proxy.
func (r *rig) checkCompiledIn(t *testing.T, client ...string) {
	t.Helper()
	keyFile := filepath.Join(t.TempDir(), "key.json")
	command := append([]string{"sh", "clients/with-key-file.sh", r.stage.Emulator, workerAccount, keyFile}, client...)
	got := report[compiledIn](t, r.execWith(t, byProxy(), append(command, keyFile, audience, targetAccount)...))
	r.checkAccessToken(t, got.AccessToken, workerAccount)
	r.checkAccessToken(t, got.ImpersonatedAccessToken, targetAccount)
	r.checkIDToken(t, "ID token", got.IDToken, r.grantedClaims(t, workerAccount))
	if got.Email != workerAccount {
		t.Errorf("the verifier saw %q, want %q", got.Email, workerAccount)
	}
}

// TestProxy runs clients that no variable leads to the emulator. The caller's own proxy and roots
// must not take precedence.
func TestProxy(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "grpc_proxy"} {
		r.preset = append(r.preset, name+"=http://203.0.113.1:80")
	}
	for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"} {
		r.preset = append(r.preset, name+"=/dev/null")
	}
	r.preset = append(r.preset, "NO_PROXY=*", "no_proxy=googleapis.com,metadata.google.internal")

	t.Run("Node", func(t *testing.T) {
		needNode(t, r.stage)
		r.checkCompiledIn(t, r.stage.Node, nodeFolder+"/compiled-in.mjs")
	})
	t.Run("Node on a VM", func(t *testing.T) {
		needNode(t, r.stage)
		got := report[nodeReport](t, r.execWith(t, byProxy(), r.stage.Node, nodeFolder+"/client.mjs", audience, targetAccount))
		r.checkAccessToken(t, got.AccessToken, defaultAccount)
	})
	t.Run("Python", func(t *testing.T) {
		python, folder := googleAuth(t)
		r.checkCompiledIn(t, "env", "PYTHONPATH="+folder, "PYTHONDONTWRITEBYTECODE=1", python, "clients/python/compiled_in.py")
	})
	t.Run("curl", func(t *testing.T) {
		curl := lookPath(t, "curl", "curl is not installed:")
		for _, test := range []struct{ host, says string }{
			{"https://www.googleapis.com/oauth2/v3/certs", `"kty": "RSA"`},
			{"http://metadata.google.internal/computeMetadata/v1/project/project-id", projectID},
			{"http://169.254.169.254/computeMetadata/v1/project/project-id", projectID},
		} {
			if got := r.execWith(t, byProxy(), curl, "--silent", "--show-error", "--fail", "-H", "Metadata-Flavor: Google", test.host); !strings.Contains(string(got), test.says) {
				t.Errorf("%s says %q", test.host, got)
			}
		}
	})
	t.Run("Java", func(t *testing.T) {
		javac := lookPath(t, "javac", "javac is not installed:")
		java := lookPath(t, "java", "java is not installed:")
		classes := t.TempDir()
		if output, err := exec.Command(javac, "-d", classes, "clients/java/Fetch.java").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		for _, test := range []struct{ host, says string }{
			{"https://www.googleapis.com/oauth2/v3/certs", `"kty": "RSA"`},
			{"http://metadata.google.internal/computeMetadata/v1/project/project-id", projectID},
		} {
			if got := r.execWith(t, byProxy(), java, "-cp", classes, "Fetch", test.host); !strings.Contains(string(got), test.says) {
				t.Errorf("%s says %q", test.host, got)
			}
		}
	})
}
