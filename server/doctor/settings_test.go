package doctor_test

import (
	"maps"
	"testing"
	"time"

	"gcp-metadata-emulator/server/doctor"
)

// gcloud has credentials of its own, and a configuration with a property for each of its variables.
func TestDiagnoseGcloud(t *testing.T) {
	t.Parallel()
	const configuration = folder + "/configurations/config_default"
	for _, test := range []struct {
		what      string
		variables map[string]string
		files     map[string]string
		age       time.Duration
		finds     doctor.Verdict
		because   string
		change    string
	}{
		{"nothing", nil, nil, 0, doctor.FindsEmulator, "GCE_METADATA_ROOT=" + emulator, ""},
		{"no credentials", map[string]string{"CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "Yes"}, nil, 0, doctor.FindsNothing, "CLOUDSDK_AUTH_DISABLE_CREDENTIALS=Yes", "unset CLOUDSDK_AUTH_DISABLE_CREDENTIALS"},
		{"credentials as usual", map[string]string{"CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "false"}, nil, 0, doctor.FindsEmulator, "GCE_METADATA_ROOT=" + emulator, ""},
		{"an account", map[string]string{"CLOUDSDK_CORE_ACCOUNT": "a@b"}, nil, 0, doctor.FindsUnknown, "CLOUDSDK_CORE_ACCOUNT is set", "unset CLOUDSDK_CORE_ACCOUNT"},
		{"a token", map[string]string{"CLOUDSDK_AUTH_ACCESS_TOKEN": "secret"}, nil, 0, doctor.FindsUnknown, "CLOUDSDK_AUTH_ACCESS_TOKEN is set", "unset CLOUDSDK_AUTH_ACCESS_TOKEN"},
		{"a token in a file", map[string]string{"CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": "/t"}, nil, 0, doctor.FindsUnknown, "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE is set", "unset CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"},
		{
			"a credential file",
			map[string]string{"CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": "/key.json"},
			map[string]string{"/key.json": `{"type":"service_account","token_uri":"http://127.0.0.1:8254/token"}`},
			0,
			doctor.FindsGoogle, `CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE=/key.json, of type "service_account", CLOUDSDK_AUTH_TOKEN_HOST is not set`, byEnv,
		},
		{
			"a credential file, and where to take it",
			map[string]string{"CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": "/key.json", "CLOUDSDK_AUTH_TOKEN_HOST": "http://" + emulator + "/token"},
			map[string]string{"/key.json": `{"type":"service_account","token_uri":"https://oauth2.googleapis.com/token"}`},
			0,
			doctor.FindsEmulator, "CLOUDSDK_AUTH_TOKEN_HOST=http://" + emulator + "/token", "",
		},
		{
			"impersonation",
			map[string]string{"CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT": "a@b"},
			nil, 0,
			doctor.FindsGoogle, "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT is set, CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS is not set", byEnv,
		},
		{
			"impersonation here",
			map[string]string{"CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT": "a@b", "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": "http://" + emulator + "/"},
			nil, 0,
			doctor.FindsEmulator, "GCE_METADATA_ROOT=" + emulator, "",
		},
		{
			"an active account", nil,
			map[string]string{configuration: "[compute]\nregion = r\n[core]\naccount = a@b\n"},
			0,
			doctor.FindsUnknown, configuration + " has CLOUDSDK_CORE_ACCOUNT=a@b", byEnv,
		},
		{"no active account", nil, map[string]string{configuration: "[core]\nproject = p\n[auth]\naccount = a@b\n"}, 0, doctor.FindsEmulator, "GCE_METADATA_ROOT=" + emulator, ""},
		{
			"an account of another configuration", nil,
			map[string]string{configuration: "[core]\naccount = a@b\n", folder + "/active_config": "mine"},
			0,
			doctor.FindsEmulator, "GCE_METADATA_ROOT=" + emulator, "",
		},
		{
			"an account of the active configuration",
			map[string]string{"CLOUDSDK_ACTIVE_CONFIG_NAME": "mine", "CLOUDSDK_CONFIG": "/c"},
			map[string]string{"/c/configurations/config_mine": "[core]\naccount=a@b"},
			0,
			doctor.FindsUnknown, "/c/configurations/config_mine has CLOUDSDK_CORE_ACCOUNT=a@b", byEnv,
		},
		{"switched off", map[string]string{"CLOUDSDK_CORE_CHECK_GCE_METADATA": "False"}, nil, 0, doctor.FindsNothing, "CLOUDSDK_CORE_CHECK_GCE_METADATA=False", "unset CLOUDSDK_CORE_CHECK_GCE_METADATA"},
		{"not found before", nil, map[string]string{folder + "/gce": "False"}, 9 * time.Minute, doctor.FindsNothing, folder + "/gce says False", byEnv},
		{"not found long ago", nil, map[string]string{folder + "/gce": "False"}, 10 * time.Minute, doctor.FindsEmulator, "GCE_METADATA_ROOT=" + emulator, ""},
		{"found before", nil, map[string]string{folder + "/gce": "True"}, 0, doctor.FindsEmulator, "GCE_METADATA_ROOT=" + emulator, ""},
	} {
		m := machine{variables: map[string]string{"GCE_METADATA_ROOT": emulator}, files: test.files, age: test.age}
		maps.Copy(m.variables, test.variables)
		if got := m.diagnose(gcloud, doctor.ForCredentials); got.Finds != test.finds || got.Because != test.because || got.Change != test.change {
			t.Errorf("%s: %+v", test.what, got)
		}
	}
}
