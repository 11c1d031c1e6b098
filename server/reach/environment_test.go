package reach_test

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/reach"
)

func variables(t *testing.T, target reach.Target) map[string]string {
	t.Helper()
	set := map[string]string{}
	for _, variable := range target.Variables() {
		if _, twice := set[variable.Name]; twice {
			t.Errorf("%s is set twice", variable.Name)
		}
		set[variable.Name] = variable.Value
	}
	return set
}

func TestVariables(t *testing.T) {
	t.Parallel()
	set := variables(t, reach.Target{
		URL: &url.URL{Scheme: "http", Host: "127.0.0.1:8254"}, ProjectID: "p", GcloudConfig: "/tmp/x", NoProxy: "corp.example.com, 127.0.0.1,corp.example.com",
	})
	for name, want := range map[string]string{
		"GCE_METADATA_HOST": "127.0.0.1:8254", // no scheme: Go and Java add their own
		"GCE_METADATA_ROOT": "127.0.0.1:8254",
		"GCE_METADATA_IP":   "127.0.0.1:8254",
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": "http://127.0.0.1:8254/", // gcloud joins without a slash
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN":            "http://127.0.0.1:8254/",
		"CLOUDSDK_AUTH_TOKEN_HOST":                       "http://127.0.0.1:8254/token",
		"CLOUDSDK_AUTH_MTLS_TOKEN_HOST":                  "http://127.0.0.1:8254/token",
		"GOOGLE_CLOUD_PROJECT":                           "p",
		"CLOUDSDK_CONFIG":                                "/tmp/x",
		"NO_PROXY":                                       "127.0.0.1,corp.example.com,localhost,169.254.169.254,metadata.google.internal",
		"GCP_METADATA_EMULATOR_URL":                      "http://127.0.0.1:8254",
		"GCE_METADATA_MTLS_MODE":                         "none", // unset, Python follows the guest agent's files to TLS
		"GOOGLE_API_USE_CLIENT_CERTIFICATE":              "false",
	} {
		if set[name] != want {
			t.Errorf("%s = %q, want %q", name, set[name], want)
		}
	}
	for _, obstacle := range reach.Obstacles() {
		if _, ok := set[obstacle]; ok {
			t.Errorf("%s is both set and taken away", obstacle)
		}
	}
	if got := variables(t, reach.Target{URL: &url.URL{Host: "h"}, NoProxy: "a,*"})["NO_PROXY"]; got != "*" {
		t.Errorf("NO_PROXY = %q, want the * alone", got)
	}
	if _, ok := variables(t, reach.Target{URL: &url.URL{Host: "h"}})["CLOUDSDK_CONFIG"]; ok {
		t.Error("CLOUDSDK_CONFIG is set to nothing")
	}
}

func TestForCommand(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"ruby", "/usr/bin/bundle", `C:\Ruby\bin\ruby.exe`} {
		if !slices.ContainsFunc(reach.ForCommand(command), func(v reach.Variable) bool { return v.Name == "K_SERVICE" }) {
			t.Errorf("%s does not find the emulator", command)
		}
	}
	if got := reach.ForCommand("/usr/bin/node"); len(got) != 0 {
		t.Errorf("node is told %v", got)
	}
}

// The caller's own credentials must not take precedence. A file that leads to the emulator itself may
// stay.
func TestCredentialFilesAreObstacles(t *testing.T) {
	t.Parallel()
	target := reach.Target{URL: &url.URL{Scheme: "http", Host: "127.0.0.1:8254"}}
	for name, test := range map[string]struct {
		content string
		want    bool
	}{
		"google":                {`{"token_uri":"https://oauth2.googleapis.com/token"}`, true},
		"ours":                  {`{"token_uri":"http://127.0.0.1:8254/token","universe_domain":"googleapis.com"}`, false},
		"another emulator":      {`{"token_uri":"http://127.0.0.1:8255/token"}`, true},
		"federated":             {`{"audience":"//iam.googleapis.com/x","token_url":"http://127.0.0.1:8254/v1/token"}`, false},
		"subject elsewhere":     {`{"token_url":"http://127.0.0.1:8254/v1/token","credential_source":{"url":"http://corp.example.com"}}`, true},
		"impersonating":         {`{"token_url":"http://127.0.0.1:8254/v1/token","service_account_impersonation_url":"https://iamcredentials.googleapis.com/v1/x"}`, true},
		"names no server":       {`{"type":"service_account"}`, true},
		"is of a user":          {`{"type":"authorized_user","token_uri":"http://127.0.0.1:8254/token"}`, true},
		"has a source":          {`{"service_account_impersonation_url":"http://127.0.0.1:8254/x","source_credentials":{"token_uri":"https://oauth2.googleapis.com/token"}}`, true},
		"has our source":        {`{"service_account_impersonation_url":"http://127.0.0.1:8254/x","source_credentials":{"token_uri":"http://127.0.0.1:8254/token"}}`, false},
		"has a user for source": {`{"service_account_impersonation_url":"http://127.0.0.1:8254/x","source_credentials":{"type":"authorized_user"}}`, true},
		"is not JSON":           {`hello`, true},
		"is not a URL":          {`{"token_uri":"http://[::1"}`, true},
	} {
		file := filepath.Join(t.TempDir(), strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, variable := range []string{"GOOGLE_APPLICATION_CREDENTIALS", "google_application_credentials"} {
			if got := target.IsObstacle(variable, file, reach.Obstacles()); got != test.want {
				t.Errorf("%s, a file that %s: %v, want %v", variable, name, got, test.want)
			}
		}
	}
	for _, name := range []string{"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_PRIVATE_KEY", "GOOGLE_REFRESH_TOKEN", "BOTO_CONFIG"} {
		if !target.IsObstacle(name, filepath.Join(t.TempDir(), "none"), reach.Obstacles()) {
			t.Errorf("%s is no obstacle", name)
		}
	}
	if target.IsObstacle("PATH", "/bin", reach.Obstacles()) {
		t.Error("PATH is an obstacle")
	}
}

// Replaced values come back, unless the caller has changed the variable since.
func TestBefore(t *testing.T) {
	t.Parallel()
	original := reach.Environment{"A": "a", "B": "", "C": "c"}
	variables := []reach.Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "D", Value: "3"}}
	set := func(e reach.Environment, variables ...reach.Variable) reach.Environment {
		e = maps.Clone(e)
		for _, variable := range variables {
			e[variable.Name] = variable.Value
		}
		return e
	}
	present := set(original, append(variables, original.Record(variables))...)
	if diff := cmp.Diff(original, present.Before()); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	present["A"] = "the caller's"
	delete(present, "D")
	if diff := cmp.Diff(set(original, reach.Variable{Name: "A", Value: "the caller's"}), present.Before()); diff != "" {
		t.Errorf("changed since (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(original, original.Before()); diff != "" {
		t.Errorf("without an emulator (-want +got):\n%s", diff)
	}
}

// Replaced values are recorded, except values with passwords.
func TestRecordHasNoPasswords(t *testing.T) {
	t.Parallel()
	for value, isKept := range map[string]bool{
		"http://user:secret@corp.example.com:3128":  false,
		"http://user:se/cr#t@corp.example.com:3128": false,
		"http://token@corp.example.com":             false,
		"user:secret@corp.example.com:3128":         false,
		"http://corp.example.com:3128":              true,
		"corp.example.com:3128":                     true,
		"/opt/openssl@3/cert.pem":                   true,
		`C:\openssl@3\cert.pem`:                     true,
		"-Dx=http://user:secret@corp.example.com":   true, // stays in what replaces it
	} {
		caller := reach.Environment{"A": value}
		record := caller.Record([]reach.Variable{{Name: "A", Value: "emulator"}})
		if got := strings.Contains(record.Value, "secret") || strings.Contains(record.Value, "token"); got && !isKept {
			t.Errorf("%q is written down: %s", value, record.Value)
		}
		want := reach.Environment{}
		if isKept {
			want = caller
		}
		present := reach.Environment{"A": "emulator", record.Name: record.Value}
		if diff := cmp.Diff(want, present.Before()); diff != "" {
			t.Errorf("before, with %q (-want +got):\n%s", value, diff)
		}
	}
}

// Every API of gcloud leads to the emulator, unless the caller has another emulator for it.
func TestAPIsOfGcloud(t *testing.T) {
	t.Parallel()
	const storage = "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"
	target := reach.Target{URL: &url.URL{Scheme: "http", Host: "127.0.0.1:8254"}}
	set := variables(t, target)
	for name, want := range map[string]string{
		storage:                                  "http://127.0.0.1:8254/hosts/storage.googleapis.com/storage/v1/",
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": "http://127.0.0.1:8254/hosts/pubsub.googleapis.com/",
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_SQL":    "http://127.0.0.1:8254/hosts/sqladmin.googleapis.com/",
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_ANTHOSPOLICYCONTROLLERSTATUS_PA": "http://127.0.0.1:8254/hosts/anthospolicycontrollerstatus-pa.googleapis.com/",
	} {
		if set[name] != want {
			t.Errorf("%s = %q, want %q", name, set[name], want)
		}
	}
	if apis := reach.OverriddenAPIs(); len(apis) != 180 || !slices.IsSortedFunc(apis, func(a, b reach.Variable) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("%d APIs: %v", len(apis), apis)
	} else {
		for _, api := range apis {
			if !strings.HasPrefix(set[api.Value], "http://127.0.0.1:8254/") || !strings.HasSuffix(set[api.Value], "/") {
				t.Errorf("%s = %q", api.Value, set[api.Value])
			}
		}
	}
	target.Preset = func(name string) string { return map[string]string{storage: "http://127.0.0.1:9/storage/v1/"}[name] }
	if value, isSet := variables(t, target)[storage]; isSet {
		t.Errorf("the caller's own emulator is replaced by %s", value)
	}
	if value, isSet := variables(t, proxied(nil))[storage]; isSet {
		t.Errorf("behind the proxy, %s replaces a name that leads to the emulator", value)
	}
}
