package errorpage_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/errorpage"
)

// A page shows the URL as it was sent, with no escape more or less.
func TestPagesShowWhatWasSent(t *testing.T) {
	t.Parallel()
	for sent, shown := range map[string]string{
		"/a|b{c}?d=\"e\"":                   "/a|b{c}?d=&#34;e&#34;",
		"/a%7Cb?<&>":                        "/a%7Cb?&lt;&amp;&gt;",
		"//a//b":                            "//a//b",
		"/redirect?to=http://example.com/x": "/redirect?to=http://example.com/x",
		"http://metadata.google.internal/a|b?c=/d": "/a|b?c=/d",
		"http://metadata.google.internal":          "/",
	} {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + sent + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		if body := errorpage.NotFound(request).Body; !strings.Contains(body, "<code>"+shown+"</code>") {
			_, code, _ := strings.Cut(body, "<code>")
			t.Errorf("%q is shown as %q, want %q", sent, strings.SplitN(code, "<", 2)[0], shown)
		}
	}
}
