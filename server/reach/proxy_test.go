package reach_test

import (
	"net/url"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/trust"
)

func proxied(preset map[string]string) reach.Target {
	return reach.Target{
		URL: &url.URL{Scheme: "http", Host: "127.0.0.1:8254"}, ProjectID: "p", NoProxy: preset["NO_PROXY"],
		Proxy: &reach.Proxy{
			Trust:  trust.Files{Authority: "/ca/ca.pem", Bundle: "/ca/bundle.pem", TrustStore: "/ca/trust store.p12", PHP: "/ca/php"},
			Preset: func(name string) string { return preset[name] },
		},
	}
}

func TestProxyVariables(t *testing.T) {
	t.Parallel()
	const (
		base = "http://127.0.0.1:8254"
		java = `-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=8254 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=8254 ` +
			`"-Djavax.net.ssl.trustStore=/ca/trust store.p12" -Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12`
	)
	set := variables(t, proxied(nil))
	for name, want := range map[string]string{
		"HTTP_PROXY": base, "http_proxy": base, "HTTPS_PROXY": base, "https_proxy": base, "grpc_proxy": base, "ALL_PROXY": base, "all_proxy": base,
		"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "no_grpc_proxy": "127.0.0.1,localhost",
		"SSL_CERT_FILE": "/ca/bundle.pem", "REQUESTS_CA_BUNDLE": "/ca/bundle.pem", "CURL_CA_BUNDLE": "/ca/bundle.pem",
		"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "/ca/bundle.pem", "HTTPLIB2_CA_CERTS": "/ca/bundle.pem",
		"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": "/ca/bundle.pem", "GIT_SSL_CAINFO": "/ca/bundle.pem",
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "https://run.googleapis.com/",
		"NODE_EXTRA_CA_CERTS":                 "/ca/ca.pem",
		"PHP_INI_SCAN_DIR":                    ":/ca/php",
		"JAVA_TOOL_OPTIONS":                   java, "JDK_JAVA_OPTIONS": "", "_JAVA_OPTIONS": "",
		"GCE_METADATA_HOST": "127.0.0.1:8254",
	} {
		if set[name] != want {
			t.Errorf("%s = %q, want %q", name, set[name], want)
		}
	}
	for name := range variables(t, reach.Target{URL: &url.URL{Host: "h"}}) {
		if name == "HTTPS_PROXY" || name == "SSL_CERT_FILE" {
			t.Errorf("%s is set without a proxy", name)
		}
	}

	set = variables(t, proxied(map[string]string{
		"JAVA_TOOL_OPTIONS": "-Dhttps.proxyHost=corp", "_JAVA_OPTIONS": "-Xmx1g", "NODE_EXTRA_CA_CERTS": "/corp.pem", "PHP_INI_SCAN_DIR": "/php",
	}))
	for name, want := range map[string]string{
		"JAVA_TOOL_OPTIONS": java, "_JAVA_OPTIONS": "-Xmx1g " + java, "JDK_JAVA_OPTIONS": "",
		"NODE_EXTRA_CA_CERTS": "/ca/bundle.pem", "PHP_INI_SCAN_DIR": "/php:/ca/php",
	} {
		if set[name] != want {
			t.Errorf("preset: %s = %q, want %q", name, set[name], want)
		}
	}
}

// The caller may except hosts from the proxy, but not Google's hosts.
func TestNoProxyOfCaller(t *testing.T) {
	t.Parallel()
	for preset, want := range map[string]string{
		"corp.example.com,.corp.net, 10.0.0.0/8": ".corp.net,10.0.0.0/8,corp.example.com,",
		"*":                                      "",
		"googleapis.com,.googleapis.com,*.googleapis.com,sts.googleapis.com": "",
		"google.com,com,.internal,metadata,metadata.google.internal:80":      "",
		"169.254.169.254,169.254.0.0/16,0.0.0.0/0":                           "",
		"notgoogleapis.com,mygoogle.com.example.com":                         "mygoogle.com.example.com,notgoogleapis.com,",
	} {
		if got := variables(t, proxied(map[string]string{"NO_PROXY": preset}))["NO_PROXY"]; got != want+"127.0.0.1,localhost" {
			t.Errorf("NO_PROXY %q becomes %q", preset, got)
		}
	}
}

// The caller's options of Java stay, except options that would lead past the proxy.
func TestJavaOptionsOfCaller(t *testing.T) {
	t.Parallel()
	ours := variables(t, proxied(nil))["JAVA_TOOL_OPTIONS"]
	for preset, want := range map[string]string{
		"-Xmx1g -Dx=y":                           "-Xmx1g -Dx=y " + ours,
		`-Da='b c' -Dd="e f"  "-Dg=h i" -Dj="'"`: `"-Da=b c" "-Dd=e f" "-Dg=h i" "-Dj='" ` + ours,
		"-Dhttp.proxyHost=corp -Dhttp.proxyPort=1 -Dhttp.proxyUser=me": "-Dhttp.proxyUser=me " + ours,
		ours:                         ours,
		"-Dhttp.nonProxyHosts=":      ours,
		"-Dhttp.nonProxyHosts":       ours,
		"-Dhttp.nonProxyHosts=*":     ours,
		"-Dhttp.nonProxyHostsOfMine": "-Dhttp.nonProxyHostsOfMine " + ours,
		"-Dhttp.nonProxyHosts=*.googleapis.com|169.254.*|oauth2*|*GSTATIC*|metadata":                            ours,
		"-Dhttp.nonProxyHosts=first -Dhttp.nonProxyHosts=10.*|*.google.internal|*.corp|mirror.example.com|sts*": ours + " -Dhttp.nonProxyHosts=10.*|*.corp|mirror.example.com",
	} {
		if got := variables(t, proxied(map[string]string{"JAVA_TOOL_OPTIONS": preset}))["JAVA_TOOL_OPTIONS"]; got != want {
			t.Errorf("%s\nbecomes %s\nwant %s", preset, got, want)
		}
	}
}

// The names of another universe lead to the proxy, too.
func TestNoProxyInUniverse(t *testing.T) {
	t.Parallel()
	const preset = ".example.goog,sts.example.goog,corp.example.com"
	for universe, want := range map[string]string{"example.goog": "corp.example.com,", "": ".example.goog,corp.example.com,sts.example.goog,"} {
		target := proxied(map[string]string{"NO_PROXY": preset, "JAVA_TOOL_OPTIONS": "-Dhttp.nonProxyHosts=*.example.goog|corp.example.com"})
		target.UniverseDomain = universe
		set := variables(t, target)
		if got := set["NO_PROXY"]; got != want+"127.0.0.1,localhost" {
			t.Errorf("in universe %q, NO_PROXY is %q", universe, got)
		}
		if strings.Contains(set["JAVA_TOOL_OPTIONS"], "example.goog") != (universe == "") {
			t.Errorf("in universe %q, Java has %s", universe, set["JAVA_TOOL_OPTIONS"])
		}
	}
}
