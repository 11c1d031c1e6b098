package reach_test

import (
	"slices"
	"testing"

	"gcp-metadata-emulator/server/reach"
)

// If the emulator takes the place of Google's servers, a program needs only its roots. A variable with
// an address would lead past it.
func TestTakeover(t *testing.T) {
	t.Parallel()
	target := proxied(map[string]string{"_JAVA_OPTIONS": "-Xmx1g"})
	target.GcloudConfig = "/fresh"
	set, unset := target.Takeover()
	values := map[string]string{}
	for _, variable := range set {
		values[variable.Name] = variable.Value
	}
	const java = `"-Djavax.net.ssl.trustStore=/ca/trust store.p12" -Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12`
	for name, want := range map[string]string{
		"SSL_CERT_FILE": "/ca/bundle.pem", "REQUESTS_CA_BUNDLE": "/ca/bundle.pem", "NODE_EXTRA_CA_CERTS": "/ca/ca.pem",
		"JAVA_TOOL_OPTIONS": java, "_JAVA_OPTIONS": "-Xmx1g " + java, "PHP_INI_SCAN_DIR": ":/ca/php",
		"CLOUDSDK_CONFIG": "/fresh", "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
	} {
		if values[name] != want {
			t.Errorf("%s = %q, want %q", name, values[name], want)
		}
	}
	for _, name := range []string{
		"GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP", "METADATA_SERVER_DETECTION", "CLOUDSDK_AUTH_TOKEN_HOST",
		"HTTPS_PROXY", "https_proxy", "grpc_proxy", "NO_PROXY", "GOOGLE_APPLICATION_CREDENTIALS",
	} {
		if !slices.Contains(unset, name) || values[name] != "" {
			t.Errorf("%s stays", name)
		}
	}
	for name := range values {
		if slices.Contains(unset, name) {
			t.Errorf("%s is set and taken away", name)
		}
	}
}

// If the guest agent's files lead to the emulator, the caller decides whether clients use them.
func TestTakeoverWithMetadataTLS(t *testing.T) {
	t.Parallel()
	const mode = "GCE_METADATA_MTLS_MODE"
	for laid, want := range map[bool]string{false: "none", true: ""} {
		target := proxied(nil)
		target.MetadataTLS = laid
		set, unset := target.Takeover()
		got := ""
		for _, variable := range set {
			if variable.Name == mode {
				got = variable.Value
			}
		}
		if got != want || slices.Contains(unset, mode) {
			t.Errorf("with files of the emulator: %v: %s is %q (taken away: %v), want %q", laid, mode, got, slices.Contains(unset, mode), want)
		}
	}
}

// In a universe of its own, the APIs have its names besides Google's.
func TestHostsLinesOfUniverse(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	for _, line := range reach.HostsLines(reach.UniverseHosts("example.goog")...) {
		for _, name := range line.Names {
			names[name] = line.Address
		}
	}
	for _, name := range []string{"sts.example.goog", "iamcredentials.example.goog", "oauth2.example.goog", "iam.example.goog", "storage.example.goog", "sts.googleapis.com"} {
		if names[name] != reach.TLSAddress {
			t.Errorf("%s is led to %q", name, names[name])
		}
	}
}

// Every name of Google's APIs has an address, and no name of anybody else.
func TestResolve(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"metadata.google.internal": reach.MetadataAddress, "metadata": reach.MetadataAddress, "metadata.goog": reach.MetadataAddress, "other.google.internal": reach.MetadataAddress,
		"sts.googleapis.com": reach.TLSAddress, "PubSub.GoogleAPIs.com": reach.TLSAddress, "sts.mtls.googleapis.com": reach.TLSAddress,
		"sts.us-east1.rep.googleapis.com": reach.TLSAddress, "us-central1-aiplatform.googleapis.com": reach.TLSAddress,
		"accounts.google.com": reach.TLSAddress, "www.gstatic.com": reach.TLSAddress, "orders-abc-uc.a.run.app": reach.TLSAddress,
		"sts.example.goog": reach.TLSAddress, "demo-vm.localhost": reach.TLSAddress, "localhost": reach.TLSAddress,
		"googleapis.com": "domain", "google.internal": "domain", "run.app": "domain", "example.goog": "domain",
		"google.com": "", "www.google.com": "", "example.com": "", "googleapis.com.example.com": "", "vm.c.demo-project.internal": "", "internal": "", "": "",
	} {
		address, exists := reach.Resolve(name, "example.goog")
		got := address.String()
		if !address.IsValid() {
			got = map[bool]string{true: "domain", false: ""}[exists]
		}
		if got != want || address.IsValid() && !exists {
			t.Errorf("%q: %q, %v; want %q", name, got, exists, want)
		}
	}
	if _, exists := reach.Resolve("sts.example.goog", ""); exists {
		t.Error("a name of another universe exists")
	}
}
