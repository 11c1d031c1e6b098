package reach_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
		"CLOUDSDK_AUTH_TOKEN_HOST":                       "http://127.0.0.1:8254/token",
		"GOOGLE_CLOUD_PROJECT":                           "p",
		"CLOUDSDK_CONFIG":                                "/tmp/x",
		"NO_PROXY":                                       "127.0.0.1,corp.example.com,localhost,169.254.169.254,metadata.google.internal",
		"GCP_METADATA_EMULATOR_URL":                      "http://127.0.0.1:8254",
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

func TestIsForeignCredential(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content string
		want    bool
	}{
		"google":           {`{"token_uri":"https://oauth2.googleapis.com/token"}`, true},
		"ours":             {`{"token_uri":"http://127.0.0.1:8254/token","universe_domain":"googleapis.com"}`, false},
		"federated":        {`{"token_url":"http://127.0.0.1:8254/v1/token"}`, false},
		"impersonating":    {`{"token_url":"http://127.0.0.1:1/v1/token","service_account_impersonation_url":"https://iamcredentials.googleapis.com/v1/x"}`, true},
		"names no server":  {`{"type":"service_account"}`, true},
		"is of a user":     {`{"type":"authorized_user","token_uri":"http://127.0.0.1:8254/token"}`, true},
		"is of a universe": {`{"token_uri":"https://oauth2.example.com/token"}`, true},
		"has a source":     {`{"service_account_impersonation_url":"http://localhost:1/x","source_credentials":{"token_uri":"https://oauth2.googleapis.com/token"}}`, true},
		"has our source":   {`{"service_account_impersonation_url":"http://localhost:1/x","source_credentials":{"token_uri":"http://[::1]:1/token"}}`, false},
		"is no JSON":       {`hello`, true},
		"is no URL at all": {`{"token_uri":"http://[::1"}`, true},
	} {
		file := filepath.Join(t.TempDir(), strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := reach.IsForeignCredential(file); got != test.want {
			t.Errorf("a file that %s: %v, want %v", name, got, test.want)
		}
	}
	if !reach.IsForeignCredential(filepath.Join(t.TempDir(), "none")) {
		t.Error("a file that is not there is ours")
	}
}
