package doctor_test

import (
	"maps"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/doctor"
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
		finds      doctor.Verdict
		at, change string
	}{
		{"a key file of ours", key, goAuth, doctor.FindsEmulator, emulator, ""},
		{"a key file whose URL is not used", key, node, doctor.FindsGoogle, google, byProxy},
		{"a key file of Google's", foreign, goAuth, doctor.FindsGoogle, google, unset},
		{"a key file without a URL", `{"type":"service_account"}`, goAuth, doctor.FindsGoogle, google, byProxy},
		{"a key file without the URL that it needs", `{"type":"service_account"}`, python, doctor.FindsUnknown, "/key.json", unset},
		{"a user, believed", user, goOAuth2, doctor.FindsEmulator, emulator, ""},
		{"a user", user, goAuth, doctor.FindsGoogle, google, byProxy},
		{"a user, believed by some versions", user, java, doctor.FindsUnknown, emulator, unset},
		{"a user of Google's", `{"type":"authorized_user"}`, java, doctor.FindsGoogle, google, byProxy},
		{"a pool", pool, php, doctor.FindsEmulator, emulator, ""},
		{"a pool that impersonates elsewhere", elsewhere, python, doctor.FindsGoogle, iam, unset},
		{"a pool whose tokens are elsewhere", source, goAuth, doctor.FindsOther, "10.0.0.1:80", unset},
		{"a pool whose project is not known", pool, python, doctor.FindsGoogle, "cloudresourcemanager.googleapis.com:443", byProxy},
		{"a pool whose project the metadata server tells", pool, node, doctor.FindsEmulator, emulator, ""},
		{"a pool without TLS", pool, java, doctor.FindsNothing, "http://127.0.0.1:8254/v1/token", unset},
		{"a pool with TLS", poolByTLS, java, doctor.FindsUntrusted, listener, byProxy},
		{"a pool that is not known", pool, ruby0, doctor.FindsNothing, "/key.json", unset},
		{"a pool that is not known", pool, "Rust gcp_auth", doctor.FindsNothing, "/key.json", unset},
		{"a member of a pool", member, node, doctor.FindsEmulator, emulator, ""},
		{"a member of a pool that is not known", member, ruby, doctor.FindsNothing, "/key.json", unset},
		{"a member of a pool that nobody tried", member, php, doctor.FindsUnknown, "/key.json", unset},
		{"impersonation", impersonates(key), goAuth, doctor.FindsEmulator, emulator, ""},
		{"impersonation elsewhere", impersonates(key), python, doctor.FindsGoogle, iam, byProxy},
		{"impersonation by a user", impersonates(user), goAuth, doctor.FindsGoogle, google, byProxy},
		{"impersonation by a user, believed", impersonates(user), goOAuth2, doctor.FindsEmulator, emulator, ""},
		{"impersonation by a key of Google's", impersonates(foreign), java, doctor.FindsGoogle, google, unset},
		{"impersonation by a pool, which it does not take", impersonates(pool), java, doctor.FindsNothing, "/key.json", unset},
		{"impersonation by a pool, which it does not take", impersonates(pool), python, doctor.FindsNothing, "/key.json", unset},
		{"impersonation by a pool", impersonates(pool), ruby, doctor.FindsEmulator, emulator, ""},
		{"impersonation by a key, which it does not take", impersonates(key), ruby, doctor.FindsNothing, "/key.json", unset},
		{"impersonation without a URL", `{"type":"impersonated_service_account"}`, goAuth, doctor.FindsUnknown, "/key.json", unset},
		{"a type of no kind", `{}`, goAuth, doctor.FindsNothing, "/key.json", unset},
		{"no JSON", `x`, java, doctor.FindsUnknown, "/key.json", unset},
		{"no file", "", java, doctor.FindsUnknown, "/key.json", unset},
	} {
		m := machine{
			variables: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/key.json", "GCE_METADATA_HOST": emulator, "GCE_METADATA_IP": emulator},
			files:     map[string]string{},
		}
		if test.file != "" {
			m.files["/key.json"] = test.file
		}
		got := m.diagnose(test.client, doctor.ForCredentials)
		if got.Finds != test.finds || got.At != test.at || got.Change != test.change || !strings.HasPrefix(got.Because, "GOOGLE_APPLICATION_CREDENTIALS=/key.json") {
			t.Errorf("%s, %s: %+v", test.what, test.client, got)
		}
	}
	trusted := machine{
		variables: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/key.json", "JAVA_TOOL_OPTIONS": "-Djavax.net.ssl.trustStore=/ours.pem"},
		files:     map[string]string{"/key.json": poolByTLS},
	}
	if got := trusted.diagnose(java, doctor.ForCredentials); got.Finds != doctor.FindsEmulator || got.At != listener {
		t.Errorf("a pool with TLS, trusted: %+v", got)
	}
}

// Each client also reads credential files at places of its own, without a variable.
func TestDiagnosePlaces(t *testing.T) {
	t.Parallel()
	const foreign = `{"type":"service_account","token_uri":"https://oauth2.googleapis.com/token"}`
	for _, test := range []struct {
		what, file, client string
		variables          map[string]string
		finds              doctor.Verdict
		change             string
	}{
		{"gcloud's", adc, goAuth, nil, doctor.FindsGoogle, "run it with another HOME, or move the file away"},
		{"gcloud's, which it may have elsewhere", adc, python, nil, doctor.FindsGoogle, byEnv},
		{"gcloud's, and it has another directory", adc, goAuth, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, doctor.FindsGoogle, "run it with another HOME, or move the file away"},
		{"gcloud's, and it has another directory", adc, python, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, doctor.FindsEmulator, ""},
		{"gcloud's, and it has another directory", adc, node, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, doctor.FindsEmulator, ""},
		{"gcloud's, and it has another directory", adc, before, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, doctor.FindsGoogle, byProxy},
		{"gcloud's in another directory", "/fresh/application_default_credentials.json", node, map[string]string{"CLOUDSDK_CONFIG": "/fresh"}, doctor.FindsGoogle, byProxy},
		{"gcloud's, of no use to itself", adc, gcloud, nil, doctor.FindsEmulator, ""},
		{"the machine's", "/etc/google/auth/application_default_credentials.json", ruby0, nil, doctor.FindsGoogle, byProxy},
		{"that of another variable", "/mine.json", node, map[string]string{"google_application_credentials": "/mine.json"}, doctor.FindsGoogle, byProxy},
		{"that of a variable it does not know", "/mine.json", goAuth, map[string]string{"google_application_credentials": "/mine.json"}, doctor.FindsEmulator, ""},
	} {
		m := machine{variables: map[string]string{}, files: map[string]string{test.file: foreign}}
		maps.Copy(m.variables, test.variables)
		for _, name := range []string{"GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"} {
			m.variables[name] = emulator
		}
		if got := m.diagnose(test.client, doctor.ForCredentials); got.Finds != test.finds || got.Change != test.change {
			t.Errorf("%s, %s: %+v", test.what, test.client, got)
		}
	}
}
