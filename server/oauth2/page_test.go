package oauth2_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/wire"
)

// hostile is a text that ends elements, attributes, comments and templates if a page does not
// escape it.
const hostile = `"'></title></b></button><script>alert(1)</script><!--{{.Users}}javascript:x`

var tag = regexp.MustCompile(`<[/!]?[a-zA-Z-]+( [a-z]+=?)*`)

// Pages escape the texts of clients and of the fixture: every page has the same elements for any
// text.
func TestPagesKeepTexts(t *testing.T) {
	t.Parallel()
	pages := func(text string) map[string]string {
		r := newRig(t, fmt.Sprintf("users:\n  - {email: dev@example.com, name: %q}\n", text))
		sent := url.QueryEscape(text)
		shown := map[string]string{}
		visit := func(name, method, target string, form url.Values, handle wire.Handler) {
			request := formRequest(target, form)
			request.Method = method
			request.Header.Set("Accept", "text/html")
			got := serve(t, handle, request)
			if !strings.HasPrefix(got.body, "<!DOCTYPE html>\n") {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
			shown[name] = got.body
		}
		request := "/o/oauth2/auth?response_type=code&scope=openid&client_id=" + sent + "&state=" + sent
		visit("consent", http.MethodGet, request+"&redirect_uri=http%3A%2F%2Flocalhost%2F", nil, r.Authorize)
		visit("refusal", http.MethodGet, request+"&redirect_uri="+sent, nil, r.Authorize)
		visit("denied", http.MethodGet, request+"&redirect_uri=urn:ietf:wg:oauth:2.0:oob&user="+sent, nil, r.Authorize)
		visit("user code", http.MethodGet, "/device?user_code="+sent, nil, r.Device)
		asked := serve(t, r.DeviceCode, formRequest("/device/code", values("client_id", text, "scope", "email")))
		visit("device", http.MethodGet, "/device?user_code="+asked.text("user_code"), nil, r.Device)
		return shown
	}
	friendly, attacked := pages("text"), pages(hostile)
	for name, page := range attacked {
		if diff := cmp.Diff(tag.FindAllString(friendly[name], -1), tag.FindAllString(page, -1)); diff != "" {
			t.Errorf("%s has other elements (-friendly +attacked):\n%s\n%s", name, diff, page)
		}
	}
	for _, name := range []string{"consent", "device"} {
		if !strings.Contains(html.UnescapeString(attacked[name]), "<b>"+hostile+"</b> asks for access to") {
			t.Errorf("%s does not show the client: %s", name, attacked[name])
		}
	}
	if !strings.Contains(html.UnescapeString(attacked["consent"]), ">"+hostile+" <dev@example.com></button>") {
		t.Errorf("the button does not show the user's name: %s", attacked["consent"])
	}
}
