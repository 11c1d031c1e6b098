package reach_test

import (
	"maps"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/reach"
)

func TestDiagnoseFiles(t *testing.T) {
	t.Parallel()
	const (
		key       = `{"type":"service_account","token_uri":"http://127.0.0.1:8254/token"}`
		foreign   = `{"type":"service_account","token_uri":"https://oauth2.googleapis.com/token"}`
		user      = `{"type":"authorized_user","token_uri":"http://127.0.0.1:8254/token"}`
		pool      = `{"type":"external_account","token_url":"http://127.0.0.1:8254/v1/token"}`
		elsewhere = `{"type":"external_account","token_url":"http://127.0.0.1:8254/v1/token","service_account_impersonation_url":"https://iamcredentials.googleapis.com/v1/x"}`
		source    = `{"type":"external_account","token_url":"http://127.0.0.1:8254/v1/token","credential_source":{"url":"http://10.0.0.1/identity"}}`
		poolByTLS = `{"type":"external_account","token_url":"https://127.0.0.1:9443/v1/token"}`
		member    = `{"type":"external_account_authorized_user","token_url":"http://127.0.0.1:8254/v1/oauthtoken"}`
		unset     = "unset GOOGLE_APPLICATION_CREDENTIALS"
		google    = "oauth2.googleapis.com:443"
		iam       = "iamcredentials.googleapis.com:443"
	)
	impersonates := func(source string) string {
		return `{"type":"impersonated_service_account","service_account_impersonation_url":"http://127.0.0.1:8254/v1/a:generateAccessToken","source_credentials":` + source + `}`
	}
	for _, test := range []struct {
		what, file string
		client     string
		finds      reach.Verdict
		at, change string
	}{
		{"a key file of ours", key, goAuth, reach.FindsEmulator, emulator, ""},
		{"a key file whose URL is not used", key, node, reach.FindsGoogle, google, byProxy},
		{"a key file of Google's", foreign, goAuth, reach.FindsGoogle, google, unset},
		{"a key file without a URL", `{"type":"service_account"}`, goAuth, reach.FindsGoogle, google, byProxy},
		{"a key file without the URL that it needs", `{"type":"service_account"}`, python, reach.FindsUnknown, "/key.json", unset},
		{"a user, believed", user, goOAuth2, reach.FindsEmulator, emulator, ""},
		{"a user", user, goAuth, reach.FindsGoogle, google, byProxy},
		{"a user, believed by some versions", user, java, reach.FindsUnknown, emulator, unset},
		{"a user of Google's", `{"type":"authorized_user"}`, java, reach.FindsGoogle, google, byProxy},
		{"a pool", pool, php, reach.FindsEmulator, emulator, ""},
		{"a pool that impersonates elsewhere", elsewhere, python, reach.FindsGoogle, iam, unset},
		{"a pool whose tokens are elsewhere", source, goAuth, reach.FindsOther, "10.0.0.1:80", unset},
		{"a pool whose project is not known", pool, python, reach.FindsGoogle, "cloudresourcemanager.googleapis.com:443", byProxy},
		{"a pool whose project the metadata server tells", pool, node, reach.FindsEmulator, emulator, ""},
		{"a pool without TLS", pool, java, reach.FindsNothing, "http://127.0.0.1:8254/v1/token", unset},
		{"a pool with TLS", poolByTLS, java, reach.FindsUntrusted, listener, byProxy},
		{"a pool that is not known", pool, ruby0, reach.FindsNothing, "/key.json", unset},
		{"a pool that is not known", pool, "Rust gcp_auth", reach.FindsNothing, "/key.json", unset},
		{"a member of a pool", member, node, reach.FindsEmulator, emulator, ""},
		{"a member of a pool that is not known", member, ruby, reach.FindsNothing, "/key.json", unset},
		{"a member of a pool that nobody tried", member, php, reach.FindsUnknown, "/key.json", unset},
		{"impersonation", impersonates(key), goAuth, reach.FindsEmulator, emulator, ""},
		{"impersonation elsewhere", impersonates(key), python, reach.FindsGoogle, iam, byProxy},
		{"impersonation by a user", impersonates(user), goAuth, reach.FindsGoogle, google, byProxy},
		{"impersonation by a user, believed", impersonates(user), goOAuth2, reach.FindsEmulator, emulator, ""},
		{"impersonation by a key of Google's", impersonates(foreign), java, reach.FindsGoogle, google, unset},
		{"impersonation by a pool, which it does not take", impersonates(pool), java, reach.FindsNothing, "/key.json", unset},
		{"impersonation by a pool, which it does not take", impersonates(pool), python, reach.FindsNothing, "/key.json", unset},
		{"impersonation by a pool", impersonates(pool), ruby, reach.FindsEmulator, emulator, ""},
		{"impersonation by a key, which it does not take", impersonates(key), ruby, reach.FindsNothing, "/key.json", unset},
		{"impersonation without a URL", `{"type":"impersonated_service_account"}`, goAuth, reach.FindsUnknown, "/key.json", unset},
		{"a type of no kind", `{}`, goAuth, reach.FindsNothing, "/key.json", unset},
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
			t.Errorf("%s, %s: %+v", test.what, test.client, got)
		}
	}
	trusted := machine{
		variables: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/key.json", "JAVA_TOOL_OPTIONS": "-Djavax.net.ssl.trustStore=/ours.pem"},
		files:     map[string]string{"/key.json": poolByTLS},
	}
	if got := trusted.diagnose(java, reach.ForCredentials); got.Finds != reach.FindsEmulator || got.At != listener {
		t.Errorf("a pool with TLS, trusted: %+v", got)
	}
}

// Files that no variable names are read in the places where each client looks for them.
func TestDiagnosePlaces(t *testing.T) {
	t.Parallel()
	const foreign = `{"type":"service_account","token_uri":"https://oauth2.googleapis.com/token"}`
	for _, test := range []struct {
		what, file, client string
		variables          map[string]string
		finds              reach.Verdict
		change             string
	}{
		{"gcloud's", adc, goAuth, nil, reach.FindsGoogle, "run it with another HOME, or move the file away"},
		{"gcloud's, which it may have elsewhere", adc, python, nil, reach.FindsGoogle, byEnv},
		{"gcloud's, and it has another directory", adc, goAuth, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, reach.FindsGoogle, "run it with another HOME, or move the file away"},
		{"gcloud's, and it has another directory", adc, python, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, reach.FindsEmulator, ""},
		{"gcloud's, and it has another directory", adc, node, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, reach.FindsEmulator, ""},
		{"gcloud's, and it has another directory", adc, before, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, reach.FindsGoogle, byProxy},
		{"gcloud's in another directory", "/fresh/application_default_credentials.json", node, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, reach.FindsGoogle, byProxy},
		{"gcloud's, of no use to itself", adc, gcloud, nil, reach.FindsEmulator, ""},
		{"the machine's", "/etc/google/auth/application_default_credentials.json", ruby0, nil, reach.FindsGoogle, byProxy},
		{"that of another variable", "/mine.json", node, map[string]string{"google_application_credentials": "/mine.json"}, reach.FindsGoogle, byProxy},
		{"that of a variable it does not know", "/mine.json", goAuth, map[string]string{"google_application_credentials": "/mine.json"}, reach.FindsEmulator, ""},
	} {
		m := machine{variables: map[string]string{}, files: map[string]string{test.file: foreign}}
		maps.Copy(m.variables, test.variables)
		for _, name := range []string{"GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"} {
			m.variables[name] = emulator
		}
		if got := m.diagnose(test.client, reach.ForCredentials); got.Finds != test.finds || got.Change != test.change {
			t.Errorf("%s, %s: %+v", test.what, test.client, got)
		}
	}
}
