package doctor_test

import (
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gcp-metadata-emulator/server/doctor"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/trust"
)

const (
	emulator = "127.0.0.1:8254"
	listener = "127.0.0.1:9443" // where it speaks TLS
)

// machine is the surroundings of programs: an emulator at its usual address, and further settings.
type machine struct {
	variables map[string]string
	files     map[string]string
	hosts     map[string]string
	age       time.Duration // of every file
	taken     bool          // the emulator is at the addresses of Google's servers
}

func (m machine) surroundings() doctor.Surroundings {
	return doctor.Surroundings{
		Variable: func(name string) string { return m.variables[name] },
		Home:     "/home",
		Read: func(file string) ([]byte, error) {
			content, ok := m.files[file]
			if !ok {
				return nil, os.ErrNotExist
			}
			return []byte(content), nil
		},
		Age: func(file string) (time.Duration, error) {
			if _, ok := m.files[file]; !ok {
				return 0, os.ErrNotExist
			}
			return m.age, nil
		},
		Hosts:    m.hosts,
		Emulator: emulator,
		IsEmulator: func(scheme, hostport string) bool {
			switch scheme {
			case "https":
				return hostport == listener || m.taken && (hostport == "127.0.0.1:443" || hostport == "169.254.169.254:443")
			case "http":
				return hostport == emulator || m.taken && hostport == "169.254.169.254:80"
			default:
				return false
			}
		},
		Trusts: func(file string) bool {
			return strings.HasSuffix(file, "ours.pem") || file == "" && m.taken || m.files[file] == "ours"
		},
	}
}

func (m machine) diagnose(client, what string) doctor.Finding {
	for _, finding := range m.surroundings().Diagnose() {
		if finding.Client == client && finding.For == what {
			return finding
		}
	}
	return doctor.Finding{}
}

const (
	goAuth   = "Go cloud.google.com/go/auth"
	goOAuth2 = "Go golang.org/x/oauth2"
	python   = "Python google-auth"
	node     = "Node google-auth-library"
	java     = "Java google-auth-library"
	before   = "Node google-auth-library 9"
	ruby     = "Ruby googleauth 1"
	ruby0    = "Ruby googleauth 0"
	php      = "PHP google/auth"
	gcloud   = "gcloud"

	folder = "/home/.config/gcloud"
	adc    = folder + "/application_default_credentials.json"

	byEnv   = `eval "$(gcp-metadata-emulator env)"`
	byProxy = `eval "$(gcp-metadata-emulator env --reach proxy)"`
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
		finds   doctor.Verdict
		at      string
		because string
		change  string
	}{
		{"by its variable", host, goAuth, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"nothing set", machine{}, goAuth, doctor.FindsGoogle, "169.254.169.254:80", "GCE_METADATA_HOST is not set", byEnv},
		{"another server", at("10.0.0.1", "GCE_METADATA_HOST"), java, doctor.FindsOther, "10.0.0.1:80", "GCE_METADATA_HOST=10.0.0.1", "export GCE_METADATA_HOST=" + emulator},
		{"without the variable of its ping", at(emulator, "GCE_METADATA_HOST"), python, doctor.FindsGoogle, "169.254.169.254:80", "GCE_METADATA_IP is not set", byEnv},
		{
			"without the variable of its ping, on a machine of Google's",
			machine{variables: at(emulator, "GCE_METADATA_HOST").variables, files: map[string]string{"/sys/class/dmi/id/product_name": "Google Compute Engine"}},
			python,
			doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, "",
		},
		{"by a URL", at("http://"+emulator, "GCE_METADATA_HOST"), node, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=http://" + emulator, ""},
		{
			"by a URL, which it does not take", at("http://"+emulator, "GCE_METADATA_HOST"), goAuth,
			doctor.FindsNothing, "", "GCE_METADATA_HOST=http://" + emulator + ", which is not a host", "export GCE_METADATA_HOST=" + emulator,
		},
		{"the second variable", at(emulator, "GCE_METADATA_ROOT", "GCE_METADATA_IP"), python, doctor.FindsEmulator, emulator, "GCE_METADATA_ROOT=" + emulator, ""},
		{
			"the variable that wins", with(host, map[string]string{"GCE_METADATA_IP": "http://127.0.0.1:1/"}), node,
			doctor.FindsOther, "127.0.0.1:1", "GCE_METADATA_IP=http://127.0.0.1:1/", "export GCE_METADATA_IP=" + emulator,
		},
		{"gcloud knows one", at(emulator, "GCE_METADATA_HOST"), "gcloud", doctor.FindsGoogle, "metadata.google.internal:80", "GCE_METADATA_ROOT is not set", byEnv},
		{"switched off", with(host, map[string]string{"NO_GCE_CHECK": "true"}), python, doctor.FindsNothing, "", "NO_GCE_CHECK=true", "unset NO_GCE_CHECK"},
		{"not switched off", with(host, map[string]string{"NO_GCE_CHECK": "True"}), python, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"switched off in any case", with(host, map[string]string{"NO_GCE_CHECK": "True"}), java, doctor.FindsNothing, "", "NO_GCE_CHECK=True", "unset NO_GCE_CHECK"},
		{"switched off by any value", with(host, map[string]string{"DEVSHELL_CLIENT_PORT": "1"}), java, doctor.FindsNothing, "", "DEVSHELL_CLIENT_PORT is set", "unset DEVSHELL_CLIENT_PORT"},
		{
			"detection by other means", with(host, map[string]string{"METADATA_SERVER_DETECTION": "bios-only"}), node,
			doctor.FindsNothing, "", "METADATA_SERVER_DETECTION=bios-only", "unset METADATA_SERVER_DETECTION",
		},
		{"detection of no kind", with(host, map[string]string{"METADATA_SERVER_DETECTION": "x"}), node, doctor.FindsNothing, "", "METADATA_SERVER_DETECTION=x", "unset METADATA_SERVER_DETECTION"},
		{"detection by asking", with(host, map[string]string{"METADATA_SERVER_DETECTION": " Ping-Only"}), node, doctor.FindsEmulator, emulator, "GCE_METADATA_IP=" + emulator, ""},
		{
			"detection by other means, on Cloud Run", with(host, map[string]string{"METADATA_SERVER_DETECTION": "none", "K_SERVICE": "s"}), node,
			doctor.FindsEmulator, emulator, "GCE_METADATA_IP=" + emulator, "",
		},
		{
			"not on Google Cloud", with(host, map[string]string{"K_SERVICE": "s", "K_REVISION": "r"}), ruby, doctor.FindsNothing, "", "it does not detect Google Cloud",
			"export K_SERVICE=emulator K_REVISION=emulator-00001 K_CONFIGURATION=emulator",
		},
		{"on Cloud Run", with(host, map[string]string{"K_SERVICE": "s", "K_REVISION": "r", "K_CONFIGURATION": "c"}), ruby, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"on App Engine's new runtime", with(host, map[string]string{"K_SERVICE": "s", "K_REVISION": "r", "GAE_RUNTIME": "ruby"}), ruby, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"on App Engine", with(host, map[string]string{"GAE_SERVICE": "s", "GAE_RUNTIME": "ruby"}), ruby, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{
			"with a key of its own", with(host, map[string]string{"GOOGLE_PRIVATE_KEY": "secret", "GOOGLE_CLIENT_EMAIL": "a@b"}), ruby,
			doctor.FindsGoogle, "www.googleapis.com:443", "GOOGLE_PRIVATE_KEY is set and GOOGLE_CLIENT_EMAIL is set, www.googleapis.com is compiled in",
			"unset GOOGLE_PRIVATE_KEY GOOGLE_CLIENT_EMAIL",
		},
		{
			"with a refresh token of its own", with(host, map[string]string{"GOOGLE_CLIENT_ID": "c", "GOOGLE_CLIENT_SECRET": "s", "GOOGLE_REFRESH_TOKEN": "secret"}), ruby0,
			doctor.FindsGoogle, "oauth2.googleapis.com:443",
			"GOOGLE_CLIENT_ID is set and GOOGLE_CLIENT_SECRET is set and GOOGLE_REFRESH_TOKEN is set, oauth2.googleapis.com is compiled in",
			"unset GOOGLE_CLIENT_ID GOOGLE_CLIENT_SECRET GOOGLE_REFRESH_TOKEN",
		},
		{
			"on a machine of Google's",
			machine{variables: host.variables, files: map[string]string{"/sys/class/dmi/id/product_name": "Google Compute Engine\n"}},
			ruby,
			doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, "",
		},
		{
			"by a proxy for everything", with(host, map[string]string{"ALL_PROXY": "corp:3128"}), python,
			doctor.FindsOther, "corp:3128", "ALL_PROXY=corp:3128", "export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1",
		},
		{"by our proxy for everything", at("http://"+emulator, "all_proxy"), "curl", doctor.FindsEmulator, emulator, "all_proxy=http://" + emulator, ""},
		{
			"pings by no proxy", at("http://"+emulator, "HTTP_PROXY"), python,
			doctor.FindsGoogle, "169.254.169.254:80", "GCE_METADATA_IP is not set", byEnv,
		},
		{
			"by a proxy that is none of ours", with(host, map[string]string{"HTTP_PROXY": "http://corp:3128"}), python,
			doctor.FindsOther, "corp:3128", "HTTP_PROXY=http://corp:3128", "export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1",
		},
		{"kept from the proxy", with(host, map[string]string{"HTTP_PROXY": "http://corp:3128", "NO_PROXY": "x, 127.0.0.0/8"}), python, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"never by a proxy", with(host, map[string]string{"HTTP_PROXY": "http://corp:3128"}), goAuth, doctor.FindsEmulator, emulator, "GCE_METADATA_HOST=" + emulator, ""},
		{"compiled in", host, php, doctor.FindsGoogle, "169.254.169.254:80", "compiled in", byProxy},
		{"compiled in, by our proxy", at("http://"+emulator, "HTTP_PROXY"), php, doctor.FindsEmulator, emulator, "HTTP_PROXY=http://" + emulator, ""},
		{"kept from our proxy", with(at("http://"+emulator, "HTTP_PROXY"), map[string]string{"NO_PROXY": "*"}), php, doctor.FindsGoogle, "169.254.169.254:80", "compiled in", byProxy},
		{"beyond variables", host, "Rust gcp_auth", doctor.FindsGoogle, "metadata.google.internal:80", "compiled in", "scripts/namespace -- COMMAND"},
		{
			"by the hosts file",
			machine{hosts: map[string]string{"metadata.google.internal": "169.254.169.254"}, taken: true},
			"Rust gcp_auth",
			doctor.FindsEmulator, "169.254.169.254:80", "compiled in, and the hosts file has 169.254.169.254", "",
		},
		{"in the place of Google's server", machine{taken: true}, "guest agent", doctor.FindsEmulator, "169.254.169.254:80", "compiled in", ""},
	} {
		want := doctor.Finding{Client: test.client, For: doctor.ForCredentials, Finds: test.finds, At: test.at, Because: test.because, Change: test.change}
		if diff := cmp.Diff(want, test.machine.diagnose(test.client, doctor.ForCredentials), cmpopts.IgnoreFields(want, "ByVariables")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.what, diff)
		}
	}
}

func TestDiagnoseAPIs(t *testing.T) {
	t.Parallel()
	proxy := "http://" + emulator
	for _, test := range []struct {
		what      string
		variables map[string]string
		client    string
		finds     doctor.Verdict
		because   string
		change    string
	}{
		{"nothing set", nil, goAuth, doctor.FindsGoogle, "compiled in", byProxy},
		{"by proxy", map[string]string{"HTTPS_PROXY": proxy, "SSL_CERT_FILE": "/ours.pem"}, goAuth, doctor.FindsEmulator, "HTTPS_PROXY=" + proxy + ", SSL_CERT_FILE=/ours.pem", ""},
		{"not trusted", map[string]string{"HTTPS_PROXY": proxy}, goAuth, doctor.FindsUntrusted, "HTTPS_PROXY=" + proxy, byProxy},
		{
			"roots that win",
			map[string]string{"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": "/corp.pem", "CURL_CA_BUNDLE": "/ours.pem"},
			python,
			doctor.FindsUntrusted, "HTTPS_PROXY=" + proxy + ", REQUESTS_CA_BUNDLE=/corp.pem", byProxy,
		},
		{"another proxy", map[string]string{"https_proxy": "corp:3128", "SSL_CERT_FILE": "/ours.pem"}, "curl", doctor.FindsOther, "https_proxy=corp:3128", byProxy},
		{
			"Java's properties",
			map[string]string{"JAVA_TOOL_OPTIONS": `-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=8254 "-Djavax.net.ssl.trustStore=/a b/ours.pem"`},
			java,
			doctor.FindsEmulator, "JAVA_TOOL_OPTIONS has -Dhttps.proxyHost=127.0.0.1, JAVA_TOOL_OPTIONS has -Djavax.net.ssl.trustStore=/a b/ours.pem", "",
		},
		{"gcloud, half", map[string]string{"CLOUDSDK_AUTH_TOKEN_HOST": proxy + "/token"}, "gcloud", doctor.FindsGoogle, "CLOUDSDK_API_ENDPOINT_OVERRIDES_ACCESSAPPROVAL is not set", byEnv},
	} {
		got := machine{variables: test.variables}.diagnose(test.client, doctor.ForAPIs)
		if got.Finds != test.finds || got.Because != test.because || got.Change != test.change {
			t.Errorf("%s: %+v", test.what, got)
		}
	}
	taken := machine{taken: true, hosts: map[string]string{"oauth2.googleapis.com": "127.0.0.1"}}
	if got := taken.diagnose(goAuth, doctor.ForAPIs); got.Finds != doctor.FindsEmulator || got.At != "127.0.0.1:443" {
		t.Errorf("in the place of Google's servers: %+v", got)
	}
	if got := taken.diagnose(node, doctor.ForAPIs); got.Finds != doctor.FindsUntrusted {
		t.Errorf("without roots of its own: %+v", got)
	}
}

// ByVariables does not depend on the surroundings.
func TestByVariables(t *testing.T) {
	t.Parallel()
	var not []string
	for _, finding := range (machine{taken: true}).surroundings().Diagnose() {
		if finding.For == doctor.ForCredentials && !finding.ByVariables {
			not = append(not, finding.Client)
		}
	}
	want := []string{ruby, ruby0, php, "guest agent", "curl", "Rust gcp_auth"}
	if diff := cmp.Diff(want, not); diff != "" {
		t.Errorf("not by variables (-want +got):\n%s", diff)
	}
	for client, want := range map[string]bool{gcloud: true, goAuth: false} {
		if got := (machine{}).diagnose(client, doctor.ForAPIs).ByVariables; got != want {
			t.Errorf("APIs of %s: %v", client, got)
		}
	}
}

// The variables of exec and env lead every client to the emulator for which that is possible.
func TestVariablesLeadHere(t *testing.T) {
	t.Parallel()
	const roots = "/ours.pem"
	target := reach.Target{
		URL: &url.URL{Scheme: "http", Host: emulator}, ProjectID: "p",
		Proxy: &reach.Proxy{
			Trust:  trust.Files{Authority: roots, Bundle: roots, TrustStore: roots, PHP: roots},
			Preset: func(string) string { return "" },
		},
	}
	set, found := map[string]string{}, map[string]bool{}
	for _, variable := range target.Variables() {
		set[variable.Name] = variable.Value
	}
	s := doctor.Surroundings{
		Variable: func(name string) string { return set[name] }, Read: os.ReadFile, Home: "/nonexistent", Emulator: emulator,
		Age:        func(string) (time.Duration, error) { return 0, os.ErrNotExist },
		IsEmulator: func(_, hostport string) bool { return hostport == emulator },
		Trusts:     func(file string) bool { return strings.HasSuffix(file, roots) },
	}
	for _, finding := range s.Diagnose() {
		if finding.Finds != doctor.FindsEmulator {
			found[finding.Client] = true
		}
	}
	if lost := slices.Sorted(maps.Keys(found)); !slices.Equal(lost, []string{"Ruby googleauth 1", "Rust gcp_auth", "Rust with webpki-roots"}) {
		t.Errorf("not led here: %q", lost)
	}
}
