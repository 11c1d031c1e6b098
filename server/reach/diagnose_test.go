package reach_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/reach"
)

const emulator = "127.0.0.1:8254"

// machine is where programs look: an emulator at its usual address, and what else is said.
type machine struct {
	variables map[string]string
	files     map[string]string
	hosts     map[string]string
	taken     bool // the emulator is at the addresses of Google's servers
}

func (m machine) diagnose(client, what string) reach.Finding {
	s := reach.Surroundings{
		Variable: func(name string) string { return m.variables[name] },
		Home:     "/home",
		Read: func(file string) ([]byte, error) {
			content, ok := m.files[file]
			if !ok {
				return nil, os.ErrNotExist
			}
			return []byte(content), nil
		},
		Hosts:    m.hosts,
		Emulator: emulator,
		IsEmulator: func(hostport string) bool {
			return hostport == emulator || m.taken && (hostport == "169.254.169.254:80" || hostport == "127.0.0.1:443")
		},
		Trusts: func(file string) bool { return strings.HasSuffix(file, "ours.pem") || file == "" && m.taken },
	}
	for _, finding := range s.Diagnose() {
		if finding.Client == client && finding.For == what {
			return finding
		}
	}
	return reach.Finding{}
}

const (
	goAuth   = "Go cloud.google.com/go/auth"
	goOAuth2 = "Go golang.org/x/oauth2"
	python   = "Python google-auth"
	node     = "Node google-auth-library"
	java     = "Java google-auth-library"
	ruby     = "Ruby googleauth 1"
	php      = "PHP google/auth"

	adc = "/home/.config/gcloud/application_default_credentials.json"
)

func TestDiagnoseCredentials(t *testing.T) {
	t.Parallel()
	at := func(value string, names ...string) machine {
		m := machine{variables: map[string]string{}}
		for _, name := range names {
			m.variables[name] = value
		}
		return m
	}
	with := func(m machine, more map[string]string) machine {
		m.variables = maps.Clone(m.variables)
		maps.Copy(m.variables, more)
		return m
	}
	host := at(emulator, "GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
	for _, test := range []struct {
		what    string
		machine machine
		client  string
		finds   reach.Verdict
		at      string
		because string
		change  string
	}{
		{"by its variable", host, goAuth, reach.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"nothing set", machine{}, goAuth, reach.FindsGoogle, "169.254.169.254:80", "GCE_METADATA_HOST is not set", `eval "$(gcp-metadata-emulator env)"`},
		{"another server", at("10.0.0.1", "GCE_METADATA_HOST"), java, reach.FindsOther, "10.0.0.1:80", "GCE_METADATA_HOST=10.0.0.1", "export GCE_METADATA_HOST=" + emulator},
		{"without the variable of its ping", at(emulator, "GCE_METADATA_HOST"), python, reach.FindsGoogle, "169.254.169.254:80", "GCE_METADATA_IP is not set", `eval "$(gcp-metadata-emulator env)"`},
		{"the second variable", at(emulator, "GCE_METADATA_ROOT", "GCE_METADATA_IP"), python, reach.FindsEmulator, emulator, "GCE_METADATA_ROOT=" + emulator, ""},
		{
			"the variable that wins", with(host, map[string]string{"GCE_METADATA_IP": "http://127.0.0.1:1/"}), node,
			reach.FindsOther, "127.0.0.1:1", "GCE_METADATA_IP=http://127.0.0.1:1/", "export GCE_METADATA_IP=" + emulator,
		},
		{"gcloud knows one", at(emulator, "GCE_METADATA_HOST"), "gcloud", reach.FindsGoogle, "metadata.google.internal:80", "GCE_METADATA_ROOT is not set", `eval "$(gcp-metadata-emulator env)"`},
		{"switched off", with(host, map[string]string{"NO_GCE_CHECK": "True"}), python, reach.FindsNothing, "", "NO_GCE_CHECK=True", "unset NO_GCE_CHECK"},
		{"switched off by any value", with(host, map[string]string{"DEVSHELL_CLIENT_PORT": "1"}), java, reach.FindsNothing, "", "DEVSHELL_CLIENT_PORT=1", "unset DEVSHELL_CLIENT_PORT"},
		{
			"not on Google Cloud", host, ruby, reach.FindsNothing, "", "K_SERVICE is not set, and it does not believe to be on Google Cloud",
			"export K_SERVICE=emulator K_REVISION=emulator-00001 K_CONFIGURATION=emulator",
		},
		{"on Cloud Run", with(host, map[string]string{"K_SERVICE": "s", "K_REVISION": "r", "K_CONFIGURATION": "c"}), ruby, reach.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{
			"on a machine of Google's",
			machine{variables: host.variables, files: map[string]string{"/sys/class/dmi/id/product_name": "Google Compute Engine\n"}},
			ruby,
			reach.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, "",
		},
		{
			"by a proxy that is none of ours", with(host, map[string]string{"HTTP_PROXY": "http://corp:3128"}), python,
			reach.FindsOther, "corp:3128", "HTTP_PROXY=http://corp:3128", "export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1",
		},
		{"kept from the proxy", with(host, map[string]string{"HTTP_PROXY": "http://corp:3128", "NO_PROXY": "x, 127.0.0.0/8"}), python, reach.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"never by a proxy", with(host, map[string]string{"HTTP_PROXY": "http://corp:3128"}), goAuth, reach.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"compiled in", host, php, reach.FindsGoogle, "169.254.169.254:80", "compiled in", `eval "$(gcp-metadata-emulator env --reach proxy)"`},
		{"compiled in, by our proxy", at("http://"+emulator, "HTTP_PROXY"), php, reach.FindsEmulator, emulator, "HTTP_PROXY=http://" + emulator, ""},
		{"kept from our proxy", with(at("http://"+emulator, "HTTP_PROXY"), map[string]string{"NO_PROXY": "*"}), php, reach.FindsGoogle, "169.254.169.254:80", "compiled in", `eval "$(gcp-metadata-emulator env --reach proxy)"`},
		{"beyond variables", host, "Rust gcp_auth", reach.FindsGoogle, "metadata.google.internal:80", "compiled in", "scripts/namespace -- COMMAND"},
		{
			"by the hosts file",
			machine{hosts: map[string]string{"metadata.google.internal": "169.254.169.254"}, taken: true},
			"Rust gcp_auth",
			reach.FindsEmulator, "169.254.169.254:80", "compiled in, and the hosts file says 169.254.169.254", "",
		},
		{"in the place of Google's server", machine{taken: true}, "guest agent", reach.FindsEmulator, "169.254.169.254:80", "compiled in", ""},
	} {
		want := reach.Finding{Client: test.client, For: reach.ForCredentials, Finds: test.finds, At: test.at, Because: test.because, Change: test.change}
		if diff := cmp.Diff(want, test.machine.diagnose(test.client, reach.ForCredentials)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.what, diff)
		}
	}
}

func TestDiagnoseFiles(t *testing.T) {
	t.Parallel()
	const (
		key      = `{"type":"service_account","token_uri":"http://127.0.0.1:8254/token"}`
		foreign  = `{"type":"service_account","token_uri":"https://oauth2.googleapis.com/token"}`
		user     = `{"type":"authorized_user","token_uri":"http://127.0.0.1:8254/token"}`
		external = `{"type":"external_account","token_url":"http://127.0.0.1:8254/v1/token","service_account_impersonation_url":"https://iamcredentials.googleapis.com/v1/x"}`
		unset    = "unset GOOGLE_APPLICATION_CREDENTIALS"
		google   = "oauth2.googleapis.com:443"
	)
	for _, test := range []struct {
		what, file string
		client     string
		finds      reach.Verdict
		at, change string
	}{
		{"a key file of ours", key, goAuth, reach.FindsEmulator, emulator, ""},
		{"a key file whose URL is not used", key, node, reach.FindsGoogle, google, `eval "$(gcp-metadata-emulator env --reach proxy)"`},
		{"a key file of Google's", foreign, goAuth, reach.FindsGoogle, google, unset},
		{"a user, believed", user, goOAuth2, reach.FindsEmulator, emulator, ""},
		{"a user", user, goAuth, reach.FindsGoogle, google, `eval "$(gcp-metadata-emulator env --reach proxy)"`},
		{"a pool that impersonates elsewhere", external, python, reach.FindsGoogle, "iamcredentials.googleapis.com:443", unset},
		{"impersonation elsewhere", `{"type":"impersonated_service_account"}`, python, reach.FindsGoogle, "iamcredentials.googleapis.com:443", `eval "$(gcp-metadata-emulator env --reach proxy)"`},
		{"impersonation without a URL", `{"type":"impersonated_service_account"}`, goAuth, reach.FindsUnknown, "", unset},
		{"no JSON", `x`, java, reach.FindsUnknown, "/key.json", unset},
		{"no file", "", java, reach.FindsUnknown, "/key.json", unset},
	} {
		m := machine{
			variables: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/key.json", "GCE_METADATA_HOST": emulator, "GCE_METADATA_IP": emulator},
			files:     map[string]string{},
		}
		if test.file != "" {
			m.files["/key.json"] = test.file
		}
		got := m.diagnose(test.client, reach.ForCredentials)
		if got.Finds != test.finds || got.At != test.at || got.Change != test.change || !strings.HasPrefix(got.Because, "GOOGLE_APPLICATION_CREDENTIALS=/key.json") {
			t.Errorf("%s: %+v", test.what, got)
		}
	}
	m := machine{variables: map[string]string{"GCE_METADATA_HOST": emulator, "GCE_METADATA_IP": emulator}, files: map[string]string{adc: foreign}}
	if got := m.diagnose(goAuth, reach.ForCredentials); got.Finds != reach.FindsGoogle || got.Because != "it reads "+adc {
		t.Errorf("gcloud's file: %+v", got)
	}
	m.variables["CLOUDSDK_CONFIG"] = "/fresh"
	if got := m.diagnose(python, reach.ForCredentials); got.Finds != reach.FindsEmulator {
		t.Errorf("gcloud's file in another directory: %+v", got)
	}
}

func TestDiagnoseAPIs(t *testing.T) {
	t.Parallel()
	const byProxy = `eval "$(gcp-metadata-emulator env --reach proxy)"`
	proxy := "http://" + emulator
	for _, test := range []struct {
		what      string
		variables map[string]string
		client    string
		finds     reach.Verdict
		because   string
		change    string
	}{
		{"nothing set", nil, goAuth, reach.FindsGoogle, "compiled in", byProxy},
		{"by proxy", map[string]string{"HTTPS_PROXY": proxy, "SSL_CERT_FILE": "/ours.pem"}, goAuth, reach.FindsEmulator, "HTTPS_PROXY=" + proxy + ", SSL_CERT_FILE=/ours.pem", ""},
		{"not trusted", map[string]string{"HTTPS_PROXY": proxy}, goAuth, reach.FindsUntrusted, "HTTPS_PROXY=" + proxy, byProxy},
		{
			"roots that win",
			map[string]string{"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": "/corp.pem", "CURL_CA_BUNDLE": "/ours.pem"},
			python,
			reach.FindsUntrusted, "HTTPS_PROXY=" + proxy + ", REQUESTS_CA_BUNDLE=/corp.pem", byProxy,
		},
		{"another proxy", map[string]string{"https_proxy": "corp:3128", "SSL_CERT_FILE": "/ours.pem"}, "curl", reach.FindsOther, "https_proxy=corp:3128", byProxy},
		{
			"Java's properties",
			map[string]string{"JAVA_TOOL_OPTIONS": `-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=8254 "-Djavax.net.ssl.trustStore=/a b/ours.pem"`},
			java,
			reach.FindsEmulator, "JAVA_TOOL_OPTIONS has -Dhttps.proxyHost=127.0.0.1, JAVA_TOOL_OPTIONS has -Djavax.net.ssl.trustStore=/a b/ours.pem", "",
		},
		{"gcloud, half", map[string]string{"CLOUDSDK_AUTH_TOKEN_HOST": proxy + "/token"}, "gcloud", reach.FindsGoogle, "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS is not set", byProxy},
	} {
		got := machine{variables: test.variables}.diagnose(test.client, reach.ForAPIs)
		if got.Finds != test.finds || got.Because != test.because || got.Change != test.change {
			t.Errorf("%s: %+v", test.what, got)
		}
	}
	taken := machine{taken: true, hosts: map[string]string{"oauth2.googleapis.com": "127.0.0.1"}}
	if got := taken.diagnose(goAuth, reach.ForAPIs); got.Finds != reach.FindsEmulator || got.At != "127.0.0.1:443" {
		t.Errorf("in the place of Google's servers: %+v", got)
	}
	if got := taken.diagnose(node, reach.ForAPIs); got.Finds != reach.FindsUntrusted {
		t.Errorf("without roots of its own: %+v", got)
	}
}

// What exec and env set leads every client to the emulator that variables can lead.
func TestVariablesLeadHere(t *testing.T) {
	t.Parallel()
	target := proxied(nil)
	target.Proxy.Trust.Bundle, target.Proxy.Trust.Authority = "/ours.pem", "/ours.pem"
	target.Proxy.Trust.TrustStore, target.Proxy.Trust.PHP = "/ours.pem", "/ours.pem"
	found := map[string]bool{}
	s := reach.Surroundings{
		Variable: func(name string) string { return variables(t, target)[name] }, Read: os.ReadFile, Home: "/nonexistent", Emulator: emulator,
		IsEmulator: func(hostport string) bool { return hostport == emulator },
		Trusts:     func(file string) bool { return strings.HasSuffix(file, "/ours.pem") },
	}
	for _, finding := range s.Diagnose() {
		if finding.Finds != reach.FindsEmulator {
			found[finding.Client] = true
		}
	}
	if lost := slices.Sorted(maps.Keys(found)); !slices.Equal(lost, []string{"Ruby googleauth 1", "Rust gcp_auth"}) {
		t.Errorf("not led here: %q", lost)
	}
}
