package doctor_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/doctor"
)

// row is what a test compares of a finding.
type row struct {
	Finds           doctor.Verdict
	At, Because     string
	Change          string
	APIs            int
	First, LastName string
}

func apisOf(s doctor.Surroundings, client string) []row {
	var rows []row
	for _, f := range s.Diagnose() {
		if f.Client != client || f.For != doctor.ForAPIs {
			continue
		}
		one := row{Finds: f.Finds, At: f.At, Because: f.Because, Change: f.Change, APIs: len(f.APIs)}
		if len(f.APIs) > 0 {
			one.First, one.LastName = f.APIs[0], f.APIs[len(f.APIs)-1]
		}
		rows = append(rows, one)
	}
	return rows
}

// One variable does not lead all of gcloud's APIs to the emulator.
func TestGcloudsAPIs(t *testing.T) {
	t.Parallel()
	const iam = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM"
	m := machine{variables: map[string]string{iam: "http://" + emulator + "/"}}
	want := []row{
		{doctor.FindsGoogle, "oauth2.googleapis.com:443", "CLOUDSDK_AUTH_TOKEN_HOST is not set", byEnv, 180, "oauth2 token", "workstations"},
		{doctor.FindsGoogle, "oauth2.googleapis.com:443", "compiled in", byProxy, 1, "oauth2 revoke", "oauth2 revoke"},
		{doctor.FindsEmulator, emulator, iam + "=http://" + emulator + "/", "", 1, "iam", "iam"},
	}
	if diff := cmp.Diff(want, apisOf(m.surroundings(), gcloud)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	proxied := machine{variables: map[string]string{"HTTPS_PROXY": "http://" + emulator, "REQUESTS_CA_BUNDLE": "/ours.pem"}}
	if got := apisOf(proxied.surroundings(), gcloud); len(got) != 1 || got[0].Finds != doctor.FindsEmulator || got[0].APIs != 0 {
		t.Errorf("behind the proxy: %+v", got)
	}
}

// The emulator refuses somebody else's secret, and no reach changes that.
func TestSecretOfSomebodyElse(t *testing.T) {
	t.Parallel()
	const (
		adc   = "GOOGLE_APPLICATION_CREDENTIALS"
		unset = "unset " + adc
		ours  = `{"type":"service_account","client_email":"a@b","private_key_id":"ours","token_uri":"https://oauth2.googleapis.com/token"}`
		key   = `{"type":"service_account","client_email":"a@b","private_key_id":"theirs","token_uri":"https://oauth2.googleapis.com/token"}`
		user  = `{"type":"authorized_user","refresh_token":"theirs"}`
		chain = `{"type":"impersonated_service_account","source_credentials":` + user + `,"service_account_impersonation_url":"http://` + emulator + `/x"}`
		pool  = `{"type":"external_account","token_url":"https://sts.googleapis.com/v1/token"}`
	)
	direct := map[string]string{}
	proxied := map[string]string{"HTTPS_PROXY": "http://" + emulator, "SSL_CERT_FILE": "/ours.pem"}
	for _, test := range []struct {
		what      string
		client    string
		file      string
		variables map[string]string
		finds     doctor.Verdict
		change    string
	}{
		{"theirs, at Google", goAuth, key, direct, doctor.FindsGoogle, unset},
		{"theirs, behind the proxy", goAuth, key, proxied, doctor.FindsRefusal, unset},
		{"theirs, of a user", goAuth, user, proxied, doctor.FindsRefusal, unset},
		{"theirs, as a source", goAuth, chain, proxied, doctor.FindsRefusal, unset},
		{"ours, at Google", goAuth, ours, direct, doctor.FindsGoogle, unset},
		{"theirs, compiled in", node, key, direct, doctor.FindsGoogle, unset},
		{"ours, compiled in", node, ours, direct, doctor.FindsGoogle, byProxy},
		{"ours, behind the proxy", goAuth, ours, proxied, doctor.FindsEmulator, ""},
		{"without a secret", goAuth, pool, proxied, doctor.FindsEmulator, ""},
	} {
		m := machine{variables: map[string]string{adc: "/file.json"}, files: map[string]string{"/file.json": test.file}}
		maps.Copy(m.variables, test.variables)
		s := m.surroundings()
		s.Accepts = func(c doctor.Credential) bool {
			return c.KeyID == "ours" && c.Email == "a@b" || c.RefreshToken == "ours"
		}
		for _, f := range s.Diagnose() {
			if f.Client != test.client || f.For != doctor.ForCredentials {
				continue
			}
			if f.Finds != test.finds || f.Change != test.change || f.Finds == doctor.FindsRefusal && !strings.Contains(f.Because, "refuses its secret") {
				t.Errorf("%s: %+v", test.what, f)
			}
		}
	}
}

// fetch in Node uses a proxy since version 22.21 and since version 24, and only if a variable says so.
func TestNodeFetch(t *testing.T) {
	t.Parallel()
	const old = "use Node 24, or scripts/namespace -- COMMAND"
	proxied := map[string]string{"HTTPS_PROXY": "http://" + emulator, "NODE_USE_ENV_PROXY": "1", "NODE_EXTRA_CA_CERTS": "/ours.pem"}
	for _, test := range []struct {
		version, client string
		variables       map[string]string
		finds           doctor.Verdict
		change          string
	}{
		{"v20.20.2", "Node fetch (v20.20.2)", proxied, doctor.FindsGoogle, old},
		{"v22.20.0", "Node fetch (v22.20.0)", proxied, doctor.FindsGoogle, old},
		{"v22.21.0", "Node fetch", proxied, doctor.FindsEmulator, ""},
		{"v23.11.1", "Node fetch (v23.11.1)", proxied, doctor.FindsGoogle, old},
		{"v24.0.0", "Node fetch", proxied, doctor.FindsEmulator, ""},
		{"v30.1.0-nightly", "Node fetch", proxied, doctor.FindsEmulator, ""},
		{"v24.0.0", "Node fetch", map[string]string{"HTTPS_PROXY": "http://" + emulator}, doctor.FindsGoogle, byProxy},
	} {
		s := machine{variables: test.variables}.surroundings()
		s.Version = func(program string) string { return map[string]string{"node": test.version}[program] }
		if got := apisOf(s, test.client); len(got) != 1 || got[0].Finds != test.finds || got[0].Change != test.change {
			t.Errorf("%s: %+v", test.version, got)
		}
		if at := slices.IndexFunc(s.Diagnose(), func(f doctor.Finding) bool { return f.Client == test.client && f.For != doctor.ForAPIs }); at >= 0 {
			t.Errorf("%s looks for credentials", test.client)
		}
	}
	for _, version := range []string{"", "24", "vx.y.z", "node"} {
		s := (machine{}).surroundings()
		s.Version = func(string) string { return version }
		if slices.ContainsFunc(s.Diagnose(), func(f doctor.Finding) bool { return strings.HasPrefix(f.Client, "Node fetch") }) {
			t.Errorf("%q is the version of a Node", version)
		}
	}
}

// A program with roots of its own does not trust the emulator, and no reach changes that.
func TestCompiledInRoots(t *testing.T) {
	t.Parallel()
	const rust, change = "Rust with webpki-roots", "build it with the roots of the system (rustls-native-certs)"
	for _, test := range []struct {
		variables map[string]string
		finds     doctor.Verdict
	}{
		{nil, doctor.FindsGoogle},
		{map[string]string{"HTTPS_PROXY": "http://" + emulator, "SSL_CERT_FILE": "/ours.pem"}, doctor.FindsUntrusted},
	} {
		got := apisOf(machine{variables: test.variables}.surroundings(), rust)
		if len(got) != 1 || got[0].Finds != test.finds || got[0].Change != change {
			t.Errorf("%+v", got)
		}
	}
}

// Advice leads to the emulator that the doctor was asked about, and Google's hosts are also those of its
// universe.
func TestEmulatorElsewhere(t *testing.T) {
	t.Parallel()
	s := (machine{variables: map[string]string{"CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": "https://pubsub.example.goog/"}}).surroundings()
	s.Arguments, s.Universe = "--url http://127.0.0.1:1", "example.goog"
	advice := 0
	for _, f := range s.Diagnose() {
		if strings.Contains(f.Change, "gcp-metadata-emulator env") {
			advice++
			if !strings.Contains(f.Change, "gcp-metadata-emulator env --url http://127.0.0.1:1") {
				t.Errorf("%s: %s", f.Client, f.Change)
			}
		}
		if f.Finds == doctor.FindsOther {
			t.Errorf("%+v", f)
		}
	}
	if advice < 10 {
		t.Errorf("there are only %d pieces of advice", advice)
	}
}

// A nameserver on this machine leads names to the emulator, as a hosts file does.
func TestNameserver(t *testing.T) {
	t.Parallel()
	s := machine{taken: true, variables: map[string]string{"SSL_CERT_FILE": "/ours.pem"}}.surroundings()
	s.Resolve = func(name string) string { return map[string]string{"oauth2.googleapis.com": "127.0.0.1"}[name] }
	want := []row{{Finds: doctor.FindsEmulator, At: "127.0.0.1:443", Because: "compiled in, and the nameserver has 127.0.0.1, SSL_CERT_FILE=/ours.pem"}}
	if diff := cmp.Diff(want, apisOf(s, goAuth)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
