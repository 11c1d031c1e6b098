package integration_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPresetEnvironment runs clients with variables of their caller that lead away from the
// emulator.
func TestPresetEnvironment(t *testing.T) {
	const elsewhere = "203.0.113.1:80" // an address for examples; the namespace records connections to it
	r := newRig(t)
	missing, noCertificates := filepath.Join(t.TempDir(), "missing"), filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noCertificates, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	preset := func(value string, names ...string) {
		for _, name := range names {
			r.preset = append(r.preset, name+"="+value)
		}
	}
	preset("http://"+elsewhere, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
	preset(elsewhere, "GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
	preset("elsewhere", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
	preset(missing, "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "CLOUDSDK_CONFIG")
	preset(noCertificates, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE")
	r.preset = append(r.preset,
		"METADATA_SERVER_DETECTION=none", "NO_GCE_CHECK=true", "CLOUDSDK_CORE_CHECK_GCE_METADATA=false",
		"CLOUDSDK_PROXY_TYPE=http", "CLOUDSDK_PROXY_ADDRESS=127.0.0.1", "CLOUDSDK_PROXY_PORT=9",
		"CLOUDSDK_CORE_UNIVERSE_DOMAIN=elsewhere.example.com", "CLOUDSDK_CONTEXT_AWARE_USE_CLIENT_CERTIFICATE=true",
		"GCE_METADATA_MTLS_MODE=strict", "GOOGLE_API_USE_CLIENT_CERTIFICATE=true",
		"CLOUDSDK_CORE_ACCOUNT=dev@elsewhere.example.com", "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT="+targetAccount,
	)
	t.Run("Go", func(t *testing.T) {
		got := report[goAccess](t, r.exec(t, r.stage.GoCloud, "access"))
		r.checkGoAccess(t, got, defaultAccount)
	})
	t.Run("Node", func(t *testing.T) {
		needNode(t, r.stage)
		got := report[nodeReport](t, r.exec(t, r.stage.Node, nodeFolder+"/client.mjs", audience, targetAccount))
		checkNodeMetadata(t, r, got)
		r.checkAccessToken(t, got.AccessToken, defaultAccount)
	})
	t.Run("Python", func(t *testing.T) {
		got := runPython(t, r)
		if got.ProjectID != projectID {
			t.Errorf("project %q, want %q", got.ProjectID, projectID)
		}
		r.checkAccessToken(t, got.Default.Value, defaultAccount)
	})
	t.Run("gcloud", func(t *testing.T) {
		lookPath(t, "gcloud", "gcloud is not installed:")
		r.checkAccessToken(t, r.gcloud(t, "auth", "print-access-token"), defaultAccount)
		if got := r.gcloud(t, "config", "get-value", "project"); got != projectID {
			t.Errorf("gcloud's project %q, want %q", got, projectID)
		}
	})
}
