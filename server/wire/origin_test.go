package wire_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"gcp-metadata-emulator/server/wire"
)

func TestForeign(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fields [][2]string
		want   bool
	}{
		"curl":                             {nil, false},
		"curl with a referrer":             {[][2]string{{"Referer", "https://example.com/"}}, false},
		"Node's fetch":                     {[][2]string{{"Sec-Fetch-Mode", "cors"}}, false},
		"a typed URL":                      {[][2]string{{"Sec-Fetch-Site", "none"}}, false},
		"an own page":                      {[][2]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "https://behind-a-proxy.example"}}, false},
		"an own page, old browser":         {[][2]string{{"Origin", "http://127.0.0.1:8254"}}, false},
		"a link on a page of another site": {[][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-User", "?1"}}, true},
		"a page of another site":           {[][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Referer", "https://attacker.example/localhost"}}, true},
		"a script of another site":         {[][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://attacker.example"}}, true},
		"a script, old browser":            {[][2]string{{"Origin", "https://attacker.example"}}, true},
		"a sandboxed frame":                {[][2]string{{"Origin", "null"}}, true},
		"a local page by another name":     {[][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Referer", "http://localhost:3000/"}}, false},
		"a local page's script":            {[][2]string{{"Sec-Fetch-Site", "same-site"}, {"Origin", "http://127.0.0.1:3000"}}, false},
		"a neighbouring site":              {[][2]string{{"Sec-Fetch-Site", "same-site"}}, true},
		"a name that is nearly local":      {[][2]string{{"Origin", "http://localhost.attacker.example"}}, true},
		"a lying referrer":                 {[][2]string{{"Origin", "https://attacker.example"}, {"Referer", "http://localhost/"}, {"Sec-Fetch-Site", "cross-site"}}, true},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:8254/", http.NoBody)
		for _, field := range test.fields {
			r.Header.Set(field[0], field[1])
		}
		if got := wire.IsForeign(r); got != test.want {
			t.Errorf("%s: foreign %t", name, got)
		}
	}
}

// At a plain http:// name, browsers send only Referer for an image or a link.
func TestForeignByReferer(t *testing.T) {
	t.Parallel()
	const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	for name, test := range map[string]struct {
		agent, referer string
		want           bool
	}{
		"an image on a page of another site": {browser, "https://attacker.example/localhost", true},
		"a page that only resembles ours":    {browser, "http://emulator.attacker.example:8254/", true},
		"another port":                       {browser, "http://emulator:3000/", true},
		"no page":                            {browser, "about:blank", true},
		"no URL":                             {browser, "http://%zz/", true},
		"a link on an own page":              {browser, "http://emulator:8254/ui?x=http://attacker.example/", false},
		"a link on a page of this machine":   {browser, "http://localhost:3000/", false},
		"a typed URL":                        {browser, "", false},
		"Go after a redirect":                {"Go-http-client/1.1", "http://web.example:3000/login", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://emulator:8254/", http.NoBody)
		r.Header.Set("User-Agent", test.agent)
		if test.referer != "" {
			r.Header.Set("Referer", test.referer)
		}
		if got := wire.IsForeign(r); got != test.want {
			t.Errorf("%s: foreign %t", name, got)
		}
	}
}
