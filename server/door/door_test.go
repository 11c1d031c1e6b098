package door_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/door"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// echo answers with the request line and the header that it got, a line for each field.
func echo(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
	_ = r.Header.Write(w)
}

// What a container sees of a request, with the fields of a client that forges some.
func TestHeader(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(echo))
	_, reader := raw(t, r.Server, "GET /a%2Fb//c/../d?x=1;y=2&b=%zz HTTP/1.1\r\nHost: orders.example.com\r\n"+
		"Connection: close, Authorization, X-Forwarded-For\r\nKeep-Alive: 5\r\nProxy-Authorization: Bearer p\r\nTe: gzip\r\n"+
		"Authorization: Basic dTpw\r\nX-Serverless-Authorization: Bearer a.b.c\r\n"+
		"X-Goog-Authenticated-User-Email: accounts.google.com:evil@example.com\r\nX_Goog_Iap_Jwt_Assertion: x\r\nx-google-something: x\r\n"+
		"X_Serverless_Authorization: Bearer x\r\nX-Serverless-Other: x\r\nX-Goog-Pubsub-Message-Id: 1\r\n"+
		"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\nX_Forwarded_For: 7.7.7.7\r\nX_Cloud_Trace-Context: x\r\nForwarded: for=evil\r\nAccept: */*\r\n"+
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n")
	answer := read(t, reader)
	body := answer.body
	cloud := regexp.MustCompile(`X-Cloud-Trace-Context: 0af7651916cd43dd8448eb211c80319c/(\d+);o=1`).FindStringSubmatch(body)
	if cloud == nil {
		t.Fatalf("no trace in %s", body)
	}
	span, err := strconv.ParseUint(cloud[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	want := "GET /a%2Fb//c/../d?x=1;y=2&b=%zz orders.example.com\n" + strings.ReplaceAll(`Accept: */*
Authorization: Basic dTpw
Forwarded: for="127.0.0.1";proto=https
Traceparent: 00-0af7651916cd43dd8448eb211c80319c-`+fmt.Sprintf("%016x", span)+`-01
X-Cloud-Trace-Context: 0af7651916cd43dd8448eb211c80319c/`+cloud[1]+`;o=1
X-Forwarded-For: 6.6.6.6,127.0.0.1
X-Forwarded-Proto: https
X-Goog-Pubsub-Message-Id: 1
X-Serverless-Authorization: Bearer a.b.SIGNATURE_REMOVED_BY_GOOGLE
`, "\n", "\r\n")
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := answer.Header.Get("X-Cloud-Trace-Context"); got != "0af7651916cd43dd8448eb211c80319c;o=1" {
		t.Errorf("the answer's trace is %q", got)
	}
	if answer.Header.Get("Server") != "Google Frontend" || answer.Header.Get("Alt-Svc") == "" {
		t.Errorf("the answer's header is %v", answer.Header)
	}
}

// A new trace is the same in both fields, and is not sampled.
func TestNewTrace(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(echo))
	seen := map[string]bool{}
	for _, sent := range []string{"", "X-Cloud-Trace-Context: 105445aa7843bc8bf206b12000100000/1", "Traceparent: 00-bad-bad-01"} {
		request := get(t, r.URL)
		if name, value, ok := strings.Cut(sent, ": "); ok {
			request.Header.Set(name, value)
		}
		answer := do(t, r.Client(), request)
		body := answer.body
		found := regexp.MustCompile(`(?s)Traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-00\r\n.*X-Cloud-Trace-Context: ([0-9a-f]{32})/(\d+)\r\n`).FindStringSubmatch(body)
		if found == nil || found[1] != found[3] || seen[found[1]] || answer.Header.Get("X-Cloud-Trace-Context") != "" {
			t.Fatalf("%q: %q in %s", sent, found, body)
		}
		seen[found[1]] = true
		if span, err := strconv.ParseUint(found[4], 10, 64); err != nil || fmt.Sprintf("%016x", span) != found[2] {
			t.Errorf("the spans are %s and %s", found[2], found[4])
		}
	}
	if !seen["105445aa7843bc8bf206b12000100000"] {
		t.Error("the caller's trace was lost")
	}
}

// Paths and queries are the upstream's to understand.
func TestTargets(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(echo))
	arrived := 0
	for _, target := range []string{
		"/", "//", "//x//y", "/../..", "/a/./b", "/%2e%2e", "/?", "/a?b=%zz&c;d", "/%", "/a%20b", "/é", `/a"b<c>`, "/a|b^c`d", "/:a@b", "/;x=y", "/healthz/", "/a%2fb%3f?%3f#x",
	} {
		_, reader := raw(t, r.Server, "GET "+target+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		answer := read(t, reader)
		if answer.StatusCode == http.StatusBadRequest { // net/http does not take it
			continue
		}
		arrived++
		if line, _, _ := strings.Cut(answer.body, "\n"); line != "GET "+target+" h" {
			t.Errorf("%s arrives as %q", target, line)
		}
	}
	if arrived < 10 {
		t.Errorf("%d targets have arrived", arrived)
	}
	_, reader := raw(t, r.Server, "GET http://orders.example.com/a%2Fb?c HTTP/1.1\r\nHost: orders.example.com\r\nConnection: close\r\n\r\n")
	if body := read(t, reader).body; !strings.HasPrefix(body, "GET /a%2Fb?c orders.example.com\n") {
		t.Errorf("a request to a proxy arrives as %q", body)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	var reached int
	upstream := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached++
		if got := r.Header.Get("X-Serverless-Authorization"); !strings.HasSuffix(got, ".SIGNATURE_REMOVED_BY_GOOGLE") {
			t.Errorf("the service gets %q", got)
		}
	})
	r := startAt(t, `upstream: "`+serve(t, upstream).URL+`"`, door.Config{Explain: true})
	audience := "https://orders-123456789012.us-central1.run.app"
	for name, test := range map[string]struct {
		header string // of X-Serverless-Authorization
		status int
		reason string
	}{
		"nothing":        {"", 403, `the request to service "orders" has no credential; hint: `},
		"garbage":        {"Bearer x", 401, "JSON Web Token"},
		"wrong audience": {"Bearer " + r.id(t, "https://a.example.com\nb"), 401, `the token is for "https://a.example.com\nb"`},
		"good":           {"Bearer " + r.id(t, audience), 200, ""},
	} {
		request := get(t, r.URL+"/a?b")
		if test.header != "" {
			request.Header.Set("X-Serverless-Authorization", test.header)
		}
		answer := do(t, r.Client(), request)
		body := answer.body
		if answer.StatusCode != test.status || !strings.Contains(answer.Header.Get("X-Emulator-Reason"), test.reason) {
			t.Errorf("%s: %d %v", name, answer.StatusCode, answer.Header)
		}
		seen := r.last(t)
		if seen.Status != test.status || seen.Service != "orders" || (seen.Verdict.Refusal != nil) != (test.status != 200) {
			t.Errorf("%s is observed as %+v", name, seen)
		}
		if test.status == 200 {
			continue
		}
		if body != seen.Verdict.Refusal.Body || seen.Bytes != int64(len(body)) || answer.Header.Get("Content-Type") != "text/html; charset=UTF-8" ||
			answer.Header.Get("Server") != "Google Frontend" || !strings.Contains(body, "<code>/a</code>") {
			t.Errorf("%s: %v\n%s", name, answer.Header, body)
		}
	}
	if reached != 1 {
		t.Errorf("%d requests have reached the service", reached)
	}
	request := get(t, r.URL+"/healthz")
	if answer := do(t, r.Client(), request); answer.StatusCode != http.StatusNotFound || answer.Header.Get("Server") != "" || !strings.Contains(answer.body, "Error 404") {
		t.Errorf("/healthz: %d %v %s", answer.StatusCode, answer.Header, answer.body)
	}
}

// Without the option the client gets what Google says, and no more.
func TestReasonsAreKept(t *testing.T) {
	t.Parallel()
	r := start(t, "region: europe-west1", http.NotFoundHandler())
	if answer := do(t, r.Client(), get(t, r.URL)); answer.StatusCode != http.StatusForbidden || answer.Header.Get("X-Emulator-Reason") != "" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
	if err := r.worlds.Update(func(*world.World) (*world.World, error) { return worldtest.Parse(t, "instances: [{name: vm}]"), nil }); err != nil {
		t.Fatal(err)
	}
	if answer := do(t, r.Client(), get(t, r.URL)); answer.StatusCode != http.StatusNotFound {
		t.Errorf("a service that is gone answers %d", answer.StatusCode)
	}
}

// A handler in this process stands behind a door as an upstream does.
func TestBefore(t *testing.T) {
	t.Parallel()
	r := startAt(t, `authentication: none`, door.Config{})
	server := serve(t, r.doors.Before("orders", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Goog-Iap-Jwt-Assertion") != "" || r.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("the handler gets %v", r.Header)
		}
		if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusTeapot)
	})))
	request := get(t, server.URL)
	request.Header.Set("X-Goog-Iap-Jwt-Assertion", "x")
	if answer := do(t, server.Client(), request); answer.StatusCode != http.StatusTeapot || answer.Header.Get("Server") != "Google Frontend" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
	if seen := r.last(t); seen.Status != http.StatusTeapot {
		t.Errorf("it is observed as %+v", seen)
	}
	if request.Header.Get("X-Forwarded-For") != "" {
		t.Error("the caller's header was changed")
	}
}
