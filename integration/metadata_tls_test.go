package integration_test

import (
	"os/exec"
	"strings"
	"testing"
)

// metadataFiles is the folder of the files by which clients use the metadata server with TLS.
const metadataFiles = "/run/google-mds-mtls"

// overTLS runs a client in a namespace in which the metadata server uses TLS too, and returns all output
// of the client.
func (r *rig) overTLS(t *testing.T, client ...string) (string, error) {
	t.Helper()
	needNamespace(t)
	printed, complained, err := r.inNamespaceWith(t, []string{"--metadata-tls-dir", metadataFiles}, client...)
	return string(printed) + string(complained), err
}

// TestMetadataTLS runs clients that ask for metadata over TLS, with the files that the guest agent
// writes on a VM.
func TestMetadataTLS(t *testing.T) {
	r := newRig(t)
	t.Run("curl", func(t *testing.T) {
		curl := lookPath(t, "curl", "curl is not installed:")
		ask := []string{curl, "--silent", "--show-error", "--fail", "--cacert", metadataFiles + "/root.crt", "-H", "Metadata-Flavor: Google"}
		for _, host := range []string{"metadata.google.internal", "169.254.169.254"} {
			url := "https://" + host + "/computeMetadata/v1/instance/service-accounts/default/email"
			got, err := r.overTLS(t, append(ask, "--cert", metadataFiles+"/client.key", url)...)
			if err != nil || !strings.Contains(got, defaultAccount) {
				t.Errorf("%s says %q, %v", url, got, err)
			}
			if got, err := r.overTLS(t, append(ask, url)...); err == nil {
				t.Errorf("without a certificate, %s says %q", url, got)
			}
		}
	})
	t.Run("Python", func(t *testing.T) {
		python := lookPath(t, "python3", "Python is not installed:")
		if output, err := exec.Command(python, "-c", "from google.auth.compute_engine import _mtls; import requests").CombinedOutput(); err != nil {
			skip(t, "a google-auth of version 2.42 or newer is not installed:", err, lastLine(string(output)))
		}
		for mode, scheme := range map[string]string{"strict": "https", "default": "https", "none": "http"} {
			got, err := r.overTLS(t, "env", "GCE_METADATA_MTLS_MODE="+mode, python, "clients/python/metadata_tls.py")
			want := scheme + " " + defaultAccount + " ya29."
			if err != nil || !strings.Contains(got, want) {
				t.Errorf("in the mode %s: %q, %v, want %q", mode, got, err, want)
			}
		}
		got := string(r.exec(t, python, "clients/python/metadata_tls.py"))
		if want := "http " + defaultAccount + " ya29."; !strings.Contains(got, want) {
			t.Errorf("by variables: %q, want %q", got, want)
		}
	})
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
