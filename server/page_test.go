package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
)

// hostile is a text that would do harm if a page did not show it as text.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>`

// pagePaths returns the paths of all pages.
func pagePaths() []string {
	var paths []string
	for _, path := range server.PagePaths() {
		if !strings.Contains(path, ".") { // not a file that pages load
			paths = append(paths, path)
		}
	}
	return paths
}

// eventful returns an emulator in which there is something to show on every page, with hostile texts
// wherever a client can put some.
func eventful(t *testing.T) *emulatortest.Emulator {
	t.Helper()
	e := emulatortest.NewStrict(t)
	escaped := url.QueryEscape(hostile)
	for _, request := range []string{
		"GET /nothing/" + escaped + "\nUser-Agent: " + hostile + "\n\n",
		"GET " + emulatortest.AttachedPath + "default/identity?audience=" + escaped + "\nMetadata-Flavor: Google\nUser-Agent: python-requests/2 " + hostile + "\n\n",
		"GET " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\n\n",
		"POST /v1/projects/-/serviceAccounts/" + emulatortest.Target + ":generateAccessToken\nAuthorization: Bearer " + e.Bearers(t)["last"] + "\n\n{\"scope\": [\"a\"]}",
		"PUT /emulator/v1/instances/-/metadata/instance/attributes/hostile\n\n{\"value\": \"" + strings.ReplaceAll(hostile, `"`, `\"`) + "\"}",
		"POST /emulator/v1/faults\n\n{\"route\": \"mds.token\", \"status\": 503, \"match\": {\"account\": \"<b>x</b>\", \"path\": \"/<i>\"}}",
		"POST /emulator/v1/instances/-/events\n\n{\"type\": \"maintenance\", \"in\": \"1h\"}",
	} {
		if got := e.Exchange(t, request); got.Status == http.StatusBadRequest {
			t.Fatalf("%s: %d %s", request, got.Status, got.Body)
		}
	}
	return e
}

// pageAt returns a page, parsed.
func pageAt(t *testing.T, e *emulatortest.Emulator, path string) *html.Node {
	t.Helper()
	got := e.Exchange(t, "GET "+path+"\n\n")
	if got.Status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, got.Status, got.Body)
	}
	parsed, err := html.Parse(strings.NewReader(got.Body))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func attribute(n *html.Node, name string) (string, bool) {
	at := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
	if at < 0 {
		return "", false
	}
	return n.Attr[at].Val, true
}

// Texts of clients are text on the pages: the pages have no scripts and no handlers of events but the
// page's own script, no forms of other sites, and nothing of another origin.
func TestPagesAreHarmless(t *testing.T) {
	t.Parallel()
	e := eventful(t)
	paths := append(pagePaths(), "/emulator/requests?open=1", "/emulator/requests?open=2&route="+url.QueryEscape("*"), "/emulator/metadata?instance=demo-vm&path=instance/attributes/hostile")
	shown := 0
	for _, path := range paths {
		for n := range pageAt(t, e, path).Descendants() {
			if n.Type == html.TextNode && strings.Contains(n.Data, "<script>alert(1)") {
				shown++
			}
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "style" || n.Data == "b" && n.FirstChild != nil && n.FirstChild.Data == "x" {
				t.Errorf("%s: has <%s>", path, n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
					t.Errorf("%s: <%s> has the attribute %s", path, n.Data, a.Key)
				}
				if slices.Contains([]string{"href", "src", "action"}, a.Key) && (strings.Contains(strings.TrimPrefix(a.Val, e.URL), "//") || strings.HasPrefix(a.Val, "javascript:")) {
					t.Errorf("%s: <%s> leads to %q", path, n.Data, a.Val)
				}
			}
			if source, _ := attribute(n, "src"); n.Data == "script" && source != "/emulator/live.js" || n.Data == "img" && source != "/emulator/icon.svg" {
				t.Errorf("%s: has a <%s> of %q", path, n.Data, source)
			}
		}
	}
	if shown == 0 {
		t.Error("no page shows the hostile text, so the test proves nothing")
	}
}

// The page of faults names every effect of a fault, also effects that are objects.
func TestPageOfFaultsShowsEffects(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.Fail(t, `{"route": "mds.token", "match": {"path": "/a", "account": "b"}, "body": {"c": 1}, "withHeader": {"X-D": "e"}}`)
	shown := e.Exchange(t, "GET /emulator/faults\n\n").Body
	for _, want := range []string{`withHeader {"X-D":"e"}, body {"c":1}`, "account b, path /a"} {
		if !strings.Contains(html.UnescapeString(shown), want) {
			t.Errorf("the page does not show %s:\n%s", want, shown)
		}
	}
}

// Every field has a label, every ID exists once, every label and every reference leads to an element,
// and every link to a page.
func TestPagesAreWhole(t *testing.T) {
	t.Parallel()
	e := eventful(t)
	links := map[string]string{}
	for _, path := range append(pagePaths(), "/emulator/requests?open=1", "/emulator/iam?principal=dev@example.com&permission=iam.serviceAccounts.signBlob", "/emulator/metadata?path=instance/attributes/hostile") {
		ids, headings := map[string]int{}, 0
		page := pageAt(t, e, path)
		for n := range page.Descendants() {
			if id, ok := attribute(n, "id"); ok {
				ids[id]++
			}
		}
		for id, times := range ids {
			if times > 1 {
				t.Errorf("%s: the ID %q exists %d times", path, id, times)
			}
		}
		for n := range page.Descendants() {
			switch n.Data {
			case "h1":
				headings++
			case "input", "select", "textarea":
				if kind, _ := attribute(n, "type"); kind != "hidden" && !isLabelled(n) {
					t.Errorf("%s: the field %v has no label", path, n.Attr)
				}
			case "a":
				to, _ := attribute(n, "href")
				if fragment, ok := strings.CutPrefix(to, "#"); ok && ids[fragment] == 0 {
					t.Errorf("%s: the link %q leads nowhere", path, to)
				}
				links[to] = path
			}
			for _, name := range []string{"aria-labelledby", "list"} {
				if id, ok := attribute(n, name); ok && ids[id] == 0 {
					t.Errorf("%s: %s=%q leads nowhere", path, name, id)
				}
			}
			if _, isLive := attribute(n, "data-live"); isLive {
				if _, ok := attribute(n, "id"); !ok {
					t.Errorf("%s: a live <%s> has no ID", path, n.Data)
				}
			}
		}
		if headings != 1 {
			t.Errorf("%s: has %d headings of the first level", path, headings)
		}
	}
	for to, from := range links {
		target, _, _ := strings.Cut(to, "#")
		base, err := url.Parse(from)
		if err != nil {
			t.Fatal(err)
		}
		relative, err := base.Parse(target)
		if err != nil {
			t.Errorf("%s: the link %q: %v", from, to, err)
			continue
		}
		if got := e.Exchange(t, "GET "+relative.RequestURI()+"\n\n"); got.Status != http.StatusOK {
			t.Errorf("%s: the link %q: status %d", from, to, got.Status)
		}
	}
}

// A link of a request opens it, keeps the filter, and closes it again. There are links to older requests.
func TestRequestsOpen(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	for range 120 {
		e.Get(t, "/computeMetadata/v1/instance/id")
	}
	link := func(path, id string) string {
		target, _, _ := strings.Cut(path, "#")
		for n := range pageAt(t, e, target).Descendants() {
			if known, _ := attribute(n, "id"); known == id {
				to, _ := attribute(n, "href")
				return "/emulator/requests" + to
			}
		}
		t.Fatalf("%s has no link %q", path, id)
		return ""
	}
	opened := link("/emulator/requests?route=mds.*", "a100")
	if opened != "/emulator/requests?open=100&route=mds.%2A#r100" {
		t.Errorf("the link that opens a request is %q", opened)
	}
	if closed := link(opened, "a100"); closed != "/emulator/requests?route=mds.%2A#r100" {
		t.Errorf("the link that closes it is %q", closed)
	}
	older := link("/emulator/requests?route=mds.*", "older")
	if older != "/emulator/requests?before=71&route=mds.%2A" {
		t.Errorf("the link to older requests is %q", older)
	}
	if opened := link(older, "a70"); opened != "/emulator/requests?before=71&open=70&route=mds.%2A#r70" {
		t.Errorf("the link that opens an older request is %q", opened)
	}
}

func isLabelled(n *html.Node) bool {
	for above := range n.Ancestors() {
		if above.Data == "label" {
			return true
		}
	}
	return false
}

// Everything that a browser loads for the largest page has at most 80 kB.
func TestPagesAreSmall(t *testing.T) {
	t.Parallel()
	const most = 80_000
	e := eventful(t)
	for range 200 {
		e.Exchange(t, "GET "+emulatortest.AttachedPath+"default/identity?audience=https://a-service-with-a-long-name-1234567890.us-central1.run.app\nMetadata-Flavor: Google\nUser-Agent: python-requests/2.32\n\n")
	}
	var assets, largest int
	for _, path := range server.PagePaths() {
		size := len(e.Exchange(t, "GET "+path+"\n\n").Body)
		if strings.Contains(path, ".") {
			assets += size
			continue
		}
		t.Logf("%s: %d bytes", path, size)
		largest = max(largest, size)
	}
	t.Logf("files: %d bytes", assets)
	if assets+largest > most {
		t.Errorf("the files have %d bytes and the largest page %d, in all more than %d", assets, largest, most)
	}
}

// The journal and the page show the claims of tokens that requests carried or got, and never a token.
func TestTokensOfRequests(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewStrict(t)
	bearers := e.Bearers(t)
	got := e.Get(t, emulatortest.AttachedPath+"default/identity?audience=https://service.example.com").Body
	carried := bearers["self-signed-elsewhere"]
	e.Exchange(t, "GET "+emulatortest.AccountsPath+"\nAuthorization: Bearer "+carried+"\n\n")
	e.Exchange(t, "GET "+emulatortest.AccountsPath+"\nAuthorization: Bearer "+bearers["middle"]+"\n\n")
	for path, want := range map[string]string{
		"/emulator/requests?open=1": "&#34;aud&#34;: &#34;https://service.example.com&#34;",
		"/emulator/requests?open=2": "&#34;aud&#34;: &#34;https://storage.googleapis.com/&#34;",
		"/emulator/v1/requests":     `"aud": "https://service.example.com"`,
	} {
		if body := e.Exchange(t, "GET "+path+"\n\n").Body; !strings.Contains(body, want) {
			t.Errorf("%s does not show %s", path, want)
		}
	}
	signature := func(token string) string { return token[strings.LastIndex(token, ".")+1:] }
	for _, path := range append(pagePaths(), "/emulator/v1/requests", "/emulator/requests?open=1", "/emulator/requests?open=2", "/emulator/requests?open=3") {
		body := e.Exchange(t, "GET "+path+"\n\n").Body
		for _, secret := range []string{signature(got), signature(carried), signature(bearers["middle"]), "eyJ", "ya29.", "PRIVATE KEY"} {
			if strings.Contains(body, secret) && (secret != "eyJ" && secret != "ya29." || path != "/emulator/tokens") { // where a hint has these
				t.Errorf("%s shows the secret %q", path, secret)
			}
		}
	}
}

// A token that somebody has pasted is not on the page that verifies it.
func TestPastedTokensAreNotShown(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	pasted := e.Get(t, emulatortest.AttachedPath+"default/identity?audience=a").Body
	body := e.Exchange(t, "POST /emulator/tokens\nContent-Type: application/x-www-form-urlencoded\n\ndo=verify&token=Bearer+"+pasted).Body
	if !strings.Contains(body, "The token is valid") || !strings.Contains(body, "https://accounts.google.com") || strings.Contains(body, pasted[strings.LastIndex(pasted, ".")+1:]) {
		t.Errorf("the page is\n%s", body)
	}
}
