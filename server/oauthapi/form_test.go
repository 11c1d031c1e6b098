package oauthapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/oauthapi"
)

// White space around a token is not part of it, wherever the token stands. Other parameters keep
// theirs.
func TestTokensAreBare(t *testing.T) {
	t.Parallel()
	const spaced, bare = "\t a.b\u00a0c \v\f\r\n", "a.b\u00a0c"
	sent, want := url.Values{"scope": {spaced}}, url.Values{"scope": {spaced}}
	object := []string{`"scope":"\t a.b\u00a0c \u000b\f\r\n"`}
	for _, name := range oauthapi.TokenParameters() {
		sent[name], want[name] = []string{spaced}, []string{bare}
		object = append(object, `"`+name+`":"\t a.b\u00a0c \u000b\f\r\n"`)
	}
	request := func(contentType, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/?"+sent.Encode(), strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return r
	}
	for contentType, body := range map[string]string{
		"application/x-www-form-urlencoded": sent.Encode(), "": sent.Encode(), "application/json": "{" + strings.Join(object, ",") + "}",
	} {
		got, err := oauthapi.ReadForm(request(contentType, body))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("body of type %q: %v (-want +got):\n%s", contentType, err, diff)
		}
	}
	if diff := cmp.Diff(want, oauthapi.ReadQuery(request("", ""))); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
}
