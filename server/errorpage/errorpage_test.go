package errorpage_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
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
		if body := errorpage.Page(request, http.StatusNotFound, "").Body; !strings.Contains(body, "<code>"+shown+"</code>") {
			_, code, _ := strings.Cut(body, "<code>")
			t.Errorf("%q is shown as %q, want %q", sent, strings.SplitN(code, "<", 2)[0], shown)
		}
	}
}

// Every status has a page with words, and a reason stands on the page as text.
func TestPagesOfStatuses(t *testing.T) {
	t.Parallel()
	request := httptest.NewRequest(http.MethodPut, "/a+b?c='d'", nil)
	for _, test := range []struct {
		status        int
		reason, words string
	}{
		{400, "", "Your client has issued a malformed or illegal request.  <ins>"},
		{403, "", "Your client does not have permission to get URL <code>/a+b?c=&#39;d&#39;</code> from this server. <ins>"},
		{403, "No.", "Your client does not have permission to get URL <code>/a+b?c=&#39;d&#39;</code> from this server. No. <ins>"},
		{404, "", "The requested URL <code>/a+b?c=&#39;d&#39;</code> was not found on this server.  <ins>"},
		{405, "", "The request method <code>PUT</code> is inappropriate for the URL <code>/a+b?c=&#39;d&#39;</code>.  <ins>"},
		{412, "Set <it> up.", "Set &lt;it&gt; up.  <ins>"},
		{413, "", "Your client issued a request that was too large.  <ins>"},
		{418, "", "I&#39;m a teapot.  <ins>"},
		{429, "", "We're sorry, but you have sent too many requests to us recently. Please try again later.  <ins>"},
		{429, "Too many.", "Too many.  <ins>"},
		{499, "", "Bad Request.  <ins>"},
		{500, "", "The server encountered an error and could not complete your request.<p>Please try again in 30 seconds.  <ins>"},
		{503, "", "The service you requested is not available at this time.<p>Service error -27.  <ins>"},
		{599, "", "Internal Server Error.  <ins>"},
	} {
		page := errorpage.Page(request, test.status, test.reason)
		_, words, _ := strings.Cut(page.Body, "</ins>\n  <p>")
		if want := test.words + "That’s all we know.</ins>\n"; page.Status != test.status || words != want {
			t.Errorf("status %d for the reason %q: %d with %q, want %q", test.status, test.reason, page.Status, words, want)
		}
	}
}
