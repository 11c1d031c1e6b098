package purpose_test

import (
	"testing"

	"gcp-metadata-emulator/server/purpose"
)

// A token is found in whatever people copy it from.
func TestClean(t *testing.T) {
	t.Parallel()
	const jwt, opaque = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl", "ya29.c.b0AXv0"
	for name, test := range map[string]struct{ text, want string }{
		"bare":                       {jwt, jwt},
		"bearer":                     {"Bearer " + jwt, jwt},
		"header":                     {"Authorization: Bearer " + opaque + "\r\n", opaque},
		"header of curl":             {`-H "Authorization: Bearer ` + opaque + `"`, opaque},
		"command of curl":            {`curl -H "Authorization: Bearer ` + jwt + `" https://service.example.com/`, jwt},
		"cookie":                     {"Set-Cookie: GCP_IAP=" + jwt + "; Path=/", jwt},
		"dictionary of Python":       {"{'token': '" + opaque + "', 'expires': None}", opaque},
		"assertion":                  {"x-goog-iap-jwt-assertion: " + jwt, jwt},
		"quotes":                     {`"` + jwt + `",`, jwt},
		"back quotes":                {"`" + jwt + "`", jwt},
		"bytes of Python":            {"b'" + jwt + "'", jwt},
		"variable":                   {"export TOKEN='" + jwt + "'", jwt},
		"answer of a token endpoint": {`{"access_token": "` + opaque + `", "expires_in": 3599, "token_type": "Bearer"}`, opaque},
		"answer with both":           {`{"access_token": "` + opaque + `", "id_token": "` + jwt + `"}`, jwt},
		"answer of IAM Credentials":  {`{"accessToken": "` + opaque + `", "expireTime": "2026-11-21T13:00:00Z"}`, opaque},
		"answer of this emulator":    {`{"token": "` + jwt + `", "expires": "2026-11-21T13:00:00Z"}`, jwt},
		"answer of GitHub":           {`{"count": 1, "value": "` + jwt + `"}`, jwt},
		"config-helper in JSON":      {`{"configuration": {"active_configuration": "default"}, "credential": {"access_token": "` + opaque + `"}}`, opaque},
		"config-helper in YAML":      {"configuration:\n  active_configuration: default\ncredential:\n  access_token: " + opaque + "\n  token_expiry: '2026-11-21T13:00:00Z'", opaque},
		"a text in JSON":             {`"Bearer ` + jwt + `"`, jwt},
		"a warning of gcloud":        {"WARNING: This command is using service account impersonation.\n" + jwt + "\n", jwt},
		"wrapped lines":              {jwt[:20] + "\n" + jwt[20:40] + "\r\n  " + jwt[40:], jwt},
		"padding":                    {"e30=.e30=.AA==", "e30=.e30=.AA=="},
		"JSON without a token":       {`{"error": "no"}`, `{"error": "no"}`},
		"nothing":                    {" \n", ""},
	} {
		if got := purpose.Clean(test.text); got != test.want {
			t.Errorf("%s: Clean(%q) = %q, want %q", name, test.text, got, test.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("Authorization: Bearer x")
	f.Add(`{"a": [{"token": "b'x'"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if got := purpose.Clean(text); len(got) > len(text)*3+3 { // invalid UTF-8 in JSON becomes three bytes
			t.Errorf("Clean(%q) = %q", text, got)
		}
	})
}
