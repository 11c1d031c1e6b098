package journal_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/journal"
)

func TestRedacted(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"/a/b":                               "/a/b",
		"/a?recursive=true&alt=json":         "/a?recursive=true&alt=json",
		"/a?audience=https://x&format=full":  "/a?audience=https://x&format=full",
		"/a?audience=https%3A%2F%2Fx%2Fy%3F": "/a?audience=https%3A%2F%2Fx%2Fy%3F",
		"/a?scopes=a%20b%2Cc&x=%zz%4":        "/a?scopes=a%20b%2Cc&x=%zz%4",
		"/a?x=%41bc%2Edef":                   "/a?x=%41bc%2Edef",
		"/v1//instance/1//0/x":               "/v1//instance/1//0/x",
		"/a?last_etag=eyJh&x=hey":            "/a?last_etag=eyJh&x=hey",
		"/a?code=&key=&token":                "/a?code=&key=&token",
		"curl/8.5.0 (bearer)":                "curl/8.5.0 (bearer)",
		"a@demo.iam.gserviceaccount.com":     "a@demo.iam.gserviceaccount.com",

		// Prefixes of credentials in the middle of a word are not secrets.
		"/a?audience=https://maya29.example.com/x": "/a?audience=https://maya29.example.com/x",
		"/a/attributes/apiKeyJson.prod":            "/a/attributes/apiKeyJson.prod",
		"/a?partition-key=7&primarykey=5":          "/a?partition-key=7&primarykey=5",

		// The names of parameters.
		"/tokeninfo?access_token=abc&x=1":                         "/tokeninfo?access_token=REDACTED&x=1",
		"/tokeninfo?id_token=abc":                                 "/tokeninfo?id_token=REDACTED",
		"/a?x=1&assertion=abc":                                    "/a?x=1&assertion=REDACTED",
		"/a?Access_Token=abc":                                     "/a?Access_Token=REDACTED",
		"/a?key=abc&client_secret=d&code=":                        "/a?key=REDACTED&client_secret=REDACTED&code=",
		"/a?code=4/0abc-d&state=e":                                "/a?code=REDACTED&state=e",
		"/a?code_verifier=a&code_challenge=b":                     "/a?code_verifier=REDACTED&code_challenge=b",
		"/a?device_code=a&user_code=b&api_key=c":                  "/a?device_code=REDACTED&user_code=REDACTED&api_key=REDACTED",
		"/a?authorization=Basic+abc&password=d":                   "/a?authorization=REDACTED&password=REDACTED",
		"/a?X-Goog-Signature=abc&client_assertion=d":              "/a?X-Goog-Signature=REDACTED&client_assertion=REDACTED",
		"/a?subject_token=abc&subject_token_type=urn:x":           "/a?subject_token=REDACTED&subject_token_type=urn:x",
		"/a?a=b;access_token=abc":                                 "/a?a=b;access_token=REDACTED",
		"/a;access_token=abc":                                     "/a;access_token=REDACTED",
		"/a?redirect_uri=http://b/?access_token=abc&c=d":          "/a?redirect_uri=http://b/?access_token=REDACTED&c=d",
		"/a?redirect_uri=http%3A%2F%2Fb%2F%23access_token%3Dabc":  "/a?redirect_uri=REDACTED",
		"/a?%61ccess_token=abc&b=c":                               "/a?%61ccess_token=REDACTED&b=c",
		"/a?%63ode=abc&b=c":                                       "/a?%63ode=REDACTED&b=c",
		"/a?redirect_uri=http%3A%2F%2Fb%3Fcode%3D4%2F0abc&d=e#f=": "/a?redirect_uri=REDACTED&d=e#f=",

		// The sentences of the emulator.
		`a token of kind "id" is not a bearer token`:                 `a token of kind "id" is not a bearer token`,
		"the bearer token is not a JSON Web Token":                   "the bearer token is not a JSON Web Token",
		"the header Authorization: Bearer TOKEN; it is not Bearer x": "the header Authorization: Bearer TOKEN; it is not Bearer REDACTED",

		// The forms of credentials.
		"/a?anything=ya29.c.abc":                  "/a?anything=REDACTED",
		"/a?anything=eyJhbGciOi.eyJpc3.c2ln":      "/a?anything=REDACTED",
		"/a?anything=eyJhbGciOi.eyJpc3.":          "/a?anything=REDACTED",
		"/a?x=ya29%2Ec.abc&y=1":                   "/a?x=REDACTED&y=1",
		"/a?x=%79a29.c.abc":                       "/a?x=REDACTED",
		"/a?x=ya29%2Ec%zz":                        "/a?x=REDACTED",
		"/a?ya29%2Ec=x":                           "/a?REDACTED",
		"/a?x=Bearer+abc&y=Bearer+ya29.abc":       "/a?x=Bearer+REDACTED&y=Bearer+REDACTED",
		"/a?x=bearer%20abc&y=1":                   "/a?x=REDACTED&y=1",
		"/a?x=1//0gabcdefgh_ijk":                  "/a?x=REDACTED",
		"/a?x=1%2F%2F0gabcdefgh_ijk":              "/a?x=REDACTED",
		"/a/1//0gabcdefgh_ijk/b":                  "/a/REDACTED/b",
		"/a?x=GOCSPX-abc_d&y=1":                   "/a?x=REDACTED&y=1",
		"/service-accounts/ya29.c.abc/token?alt=": "/service-accounts/REDACTED/token?alt=",
		"/service-accounts/ya29%2Ec.abc/x?alt=a":  "/REDACTED?alt=a",
		"ya29.c.abc":                              "REDACTED",
		"https://a/eyJhb.eyJpc.abc/b":             "https://a/REDACTED/b",
		"client/1 (Authorization: Bearer abc) x":  "client/1 (Authorization: Bearer REDACTED x",
	} {
		if got := journal.Redacted(text); got != want {
			t.Errorf("Redacted(%q) =\n%q, want\n%q", text, got, want)
		}
		if again := journal.Redacted(want); again != want {
			t.Errorf("%q is redacted again: %q", want, again)
		}
	}
	for _, text := range []string{"/a?recursive=true&alt=json", "/a?audience=https%3A%2F%2Fa.example.com&format=full", "google-api-go-client/0.5"} {
		if n := testing.AllocsPerRun(100, func() { journal.Redacted(text) }); n > 0 {
			t.Errorf("%q, which has no secrets, costs %v allocations", text, n)
		}
	}
}

// The journal records no secrets of any request.
func TestNothingSecretIsWrittenDown(t *testing.T) {
	t.Parallel()
	j := journal.New()
	j.Append(journal.Exchange{
		Method: "ya29.a", Path: "/a?x=ya29.a", Route: "mds.token", Instance: "demo-vm", Account: "ya29.a", Audience: "x ya29.a", UserAgent: "bearer ya29.a",
	})
	want := []journal.Exchange{{
		Sequence: 1, Method: "REDACTED", Path: "/a?x=REDACTED", Route: "mds.token", Instance: "demo-vm",
		Account: "REDACTED", Audience: "x REDACTED", UserAgent: "bearer REDACTED",
	}}
	if diff := cmp.Diff(want, j.Since(0).Exchanges); diff != "" {
		t.Errorf("written down is (-want +got):\n%s", diff)
	}
}

func BenchmarkRedacted(b *testing.B) {
	for b.Loop() {
		journal.Redacted("/computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Fa.example.com&format=full")
	}
}
