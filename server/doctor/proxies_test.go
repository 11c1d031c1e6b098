package doctor_test

import (
	"maps"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/doctor"
)

// No two runtimes agree about the proxy to use and about the hosts that need none.
func TestDiagnoseProxies(t *testing.T) {
	t.Parallel()
	const ours, corp = "http://" + emulator, "http://corp:3128"
	for _, test := range []struct {
		client    string
		variables map[string]string
		finds     doctor.Verdict
		because   string
	}{
		{goAuth, map[string]string{"HTTPS_PROXY": ours, "https_proxy": corp}, doctor.FindsEmulator, "HTTPS_PROXY=" + ours},
		{python, map[string]string{"HTTPS_PROXY": ours, "https_proxy": corp}, doctor.FindsOther, "https_proxy=" + corp},
		{"curl", map[string]string{"HTTPS_PROXY": ours, "https_proxy": corp}, doctor.FindsOther, "https_proxy=" + corp},
		{"Rust google-cloud-auth", map[string]string{"HTTPS_PROXY": ours, "https_proxy": corp}, doctor.FindsEmulator, "HTTPS_PROXY=" + ours},
		{goAuth, map[string]string{"ALL_PROXY": ours}, doctor.FindsGoogle, "compiled in"},
		{"curl", map[string]string{"ALL_PROXY": ours}, doctor.FindsEmulator, "ALL_PROXY=" + ours},
		{"curl", map[string]string{"ALL_PROXY": "socks5://" + emulator}, doctor.FindsOther, "ALL_PROXY=socks5://" + emulator},
		{node, map[string]string{"HTTP_PROXY": ours}, doctor.FindsEmulator, "HTTP_PROXY=" + ours},
		{"Rust gcp_auth", map[string]string{"HTTPS_PROXY": ours}, doctor.FindsGoogle, "compiled in"},

		{goAuth, map[string]string{"HTTPS_PROXY": ours, "NO_PROXY": "*.googleapis.com"}, doctor.FindsGoogle, "compiled in"},
		{goAuth, map[string]string{"HTTPS_PROXY": ours, "NO_PROXY": "x", "no_proxy": "*"}, doctor.FindsEmulator, "HTTPS_PROXY=" + ours},
		{python, map[string]string{"HTTPS_PROXY": ours, "NO_PROXY": "x", "no_proxy": "*"}, doctor.FindsGoogle, "compiled in"},
		{python, map[string]string{"HTTPS_PROXY": ours, "NO_PROXY": "*.googleapis.com"}, doctor.FindsEmulator, "HTTPS_PROXY=" + ours},
		{python, map[string]string{"HTTPS_PROXY": ours, "NO_PROXY": "googleapis.com"}, doctor.FindsGoogle, "compiled in"},
		{python, map[string]string{"HTTPS_PROXY": ours, "NO_PROXY": "oauth2.googleapis.com:443"}, doctor.FindsGoogle, "compiled in"},
		{node, map[string]string{"HTTPS_PROXY": ours, "NO_PROXY": "*"}, doctor.FindsEmulator, "HTTPS_PROXY=" + ours},
		{node, map[string]string{"HTTPS_PROXY": ours, "NO_PROXY": "googleapis.com"}, doctor.FindsEmulator, "HTTPS_PROXY=" + ours},
		{node, map[string]string{"HTTPS_PROXY": ours, "NO_PROXY": ".googleapis.com"}, doctor.FindsGoogle, "compiled in"},
		{php, map[string]string{"HTTPS_PROXY": ours, "no_proxy": "*"}, doctor.FindsEmulator, "HTTPS_PROXY=" + ours},

		{java, map[string]string{"HTTPS_PROXY": ours}, doctor.FindsGoogle, "compiled in"},
		{java, javaByProxy(""), doctor.FindsEmulator, "JAVA_TOOL_OPTIONS has -Dhttps.proxyHost=127.0.0.1"},
		{java, javaByProxy(" -Dhttp.nonProxyHosts=x|*.googleapis.com"), doctor.FindsGoogle, "compiled in"},
		{java, javaByProxy(" -Dhttp.nonProxyHosts=*.googleapis.com -Dhttp.nonProxyHosts=x"), doctor.FindsEmulator, "JAVA_TOOL_OPTIONS has -Dhttps.proxyHost=127.0.0.1"},
		{java, javaByProxy(" -DsocksProxyHost=corp"), doctor.FindsEmulator, "JAVA_TOOL_OPTIONS has -Dhttps.proxyHost=127.0.0.1"},
		{java, map[string]string{"_JAVA_OPTIONS": "-DsocksProxyHost=corp -DsocksProxyPort=1"}, doctor.FindsOther, "_JAVA_OPTIONS has -DsocksProxyHost=corp"},

		{gcloud, map[string]string{"https_proxy": ours, "CLOUDSDK_PROXY_ADDRESS": "corp", "CLOUDSDK_PROXY_PORT": "1", "NO_PROXY": "*"}, doctor.FindsOther, "CLOUDSDK_PROXY_ADDRESS=corp"},
	} {
		m := machine{variables: map[string]string{
			"SSL_CERT_FILE": "/ours.pem", "REQUESTS_CA_BUNDLE": "/ours.pem", "CURL_CA_BUNDLE": "/ours.pem", "NODE_EXTRA_CA_CERTS": "/ours.pem", "PHP_INI_SCAN_DIR": "/ours.pem",
		}}
		maps.Copy(m.variables, test.variables)
		got := m.diagnose(test.client, doctor.ForAPIs)
		if got.Finds != test.finds || !strings.HasPrefix(got.Because, test.because) {
			t.Errorf("%s, %v: %+v", test.client, test.variables, got)
		}
	}
	// Java uses no proxy for its own machine, unless the property is set to an empty list.
	for more, want := range map[string]doctor.Verdict{"": doctor.FindsEmulator, " -Dhttp.nonProxyHosts=x": doctor.FindsEmulator, " -Dhttp.nonProxyHosts=": doctor.FindsOther} {
		m := machine{variables: map[string]string{"GCE_METADATA_HOST": emulator, "JAVA_TOOL_OPTIONS": "-Dhttp.proxyHost=corp" + more}}
		if got := m.diagnose(java, doctor.ForCredentials); got.Finds != want {
			t.Errorf("%q: %+v", more, got)
		}
	}
}

func javaByProxy(more string) map[string]string {
	return map[string]string{"JAVA_TOOL_OPTIONS": "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=8254 -Djavax.net.ssl.trustStore=/ours.pem" + more}
}
