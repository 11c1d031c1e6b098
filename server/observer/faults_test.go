package observer_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/fault"
)

// patience limits a wait that would otherwise have no end. It is far longer than any step takes on a
// busy machine.
const patience = 5 * time.Minute

// Each surface answers with the status of a fault in its own words.
func TestFaultsSpeakTheSurfacesDialect(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	requests := map[string]string{
		"mds.token":              "GET " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\n\n",
		"oauth2.token":           "POST /token\n\ngrant_type=x",
		"iamcredentials.signJwt": "POST /v1/projects/-/serviceAccounts/" + emulatortest.Worker + ":signJwt\nAuthorization: Bearer x\n\n{}",
	}
	for _, test := range []struct {
		route  string
		status int
		header string
		body   string
	}{
		{"mds.token", 401, "Content-Type: text/html; charset=UTF-8", "<title>Error 401 (Unauthorized)!!1</title>"},
		{"mds.token", 403, "Metadata-Flavor: Google", "does not have permission to get URL <code>" + emulatortest.AttachedPath + "default/token</code>"},
		{"mds.token", 404, "Metadata-Flavor: Google", "was not found on this server"},
		{"mds.token", 429, "Metadata-Flavor: Google", "<title>Error 429 (Too Many Requests)!!1</title>"},
		{"mds.token", 500, "Metadata-Flavor: Google", "The server encountered an error"},
		{"mds.token", 503, "Metadata-Flavor: Google", "Service error -27."},
		{"mds.token", 418, "Metadata-Flavor: Google", "<title>Error 418 (I&#39;m a teapot)!!1</title>"},
		{"oauth2.token", 401, "Content-Type: application/json; charset=utf-8", `"error": "invalid_client"`},
		{"oauth2.token", 403, "Pragma: no-cache", `"error": "access_denied"`},
		{"oauth2.token", 404, "Content-Type: text/html; charset=UTF-8", "<title>Error 404 (Not Found)!!1</title>"},
		{"oauth2.token", 429, "Pragma: no-cache", `"error": "rate_limit_exceeded"`},
		{"oauth2.token", 500, "Pragma: no-cache", `"error": "internal_failure"`},
		{"oauth2.token", 503, "Pragma: no-cache", `"error": "temporarily_unavailable"`},
		{"iamcredentials.signJwt", 401, `WWW-Authenticate: Bearer realm="https://accounts.google.com/", error="invalid_token"`, `"status": "UNAUTHENTICATED"`},
		{"iamcredentials.signJwt", 403, "Cache-Control: private", `"status": "PERMISSION_DENIED"`},
		{"iamcredentials.signJwt", 404, "Cache-Control: private", `"message": "Requested entity was not found."`},
		{"iamcredentials.signJwt", 429, "Cache-Control: private", `"status": "RESOURCE_EXHAUSTED"`},
		{"iamcredentials.signJwt", 500, "Cache-Control: private", `"status": "INTERNAL"`},
		{"iamcredentials.signJwt", 503, "Cache-Control: private", `"status": "UNAVAILABLE"`},
	} {
		added := e.Fail(t, fmt.Sprintf(`{"route": %q, "status": %d}`, test.route, test.status))
		got := e.Exchange(t, requests[test.route])
		e.Faults.Remove(added.ID)
		name, want, _ := strings.Cut(test.header, ": ")
		if value, _ := got.Header(name); got.Status != test.status || value != want || !strings.Contains(got.Body, test.body) {
			t.Errorf("%s with %d: %+v", test.route, test.status, got)
		}
		if seen := e.Last(t); seen.Fault != added.ID || seen.Status != test.status || seen.Route != test.route || seen.Bytes != len(got.Body) {
			t.Errorf("%s with %d: the journal has %+v", test.route, test.status, seen)
		}
	}
}

// connect sends a request and returns the connection's reader.
func connect(t *testing.T, e *emulatortest.Emulator, path string) *bufio.Reader {
	t.Helper()
	conn := emulatortest.Dial(t, e.Address)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n\r\n", path)
	return bufio.NewReader(conn)
}

func TestHangUpBeforeAnything(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	added := e.Fail(t, `{"outage": "boot", "times": 1}`)
	if data, err := io.ReadAll(connect(t, e, "/computeMetadata/v1/project/project-id")); err != nil || len(data) > 0 {
		t.Errorf("read %q, %v; want the end at once", data, err)
	}
	if seen := e.Last(t); seen.Status != 0 || seen.Fault != added.ID || seen.Bytes != 0 {
		t.Errorf("the journal has %+v", seen)
	}
	if got := e.Get(t, "/computeMetadata/v1/project/project-id"); got.Body != "demo-project" {
		t.Errorf("the next request gets %+v", got)
	}
}

func TestHangUpDuringBody(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.Fail(t, `{"route": "mds.metadata", "hangUp": "body"}`)
	for path, want := range map[string]string{
		"/computeMetadata/v1/project/project-id":               "demo-p",
		"/computeMetadata/v1/instance/attributes/?alt=nothing": "",
	} {
		response, err := http.ReadResponse(connect(t, e, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) || want != "" && string(body) != want || response.Header.Get("Metadata-Flavor") != "Google" {
			t.Errorf("%s: read %q, %v; want half of the body, and then its unexpected end", path, body, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.Fail(t, `{"route": "mds.token", "malformed": true}`)
	got := e.Get(t, emulatortest.AttachedPath+"default/token")
	if got.Status != http.StatusOK || !strings.HasPrefix(got.Body, `{"access_token":"ya29.`) || json.Valid([]byte(got.Body)) {
		t.Errorf("answer is %+v", got)
	}
}

func TestWithoutHeader(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.Fail(t, `{"route": "mds.ping", "withoutHeader": "metadata-flavor"}`)
	e.Fail(t, `{"route": "mds.token", "withoutHeader": "Content-Type"}`)
	for path, name := range map[string]string{"/": "Metadata-Flavor", emulatortest.AttachedPath + "default/token": "Content-Type"} {
		got := e.Get(t, path)
		if value, ok := got.Header(name); ok || got.Status != http.StatusOK || got.Body == "" {
			t.Errorf("%s: %s is %q in %+v", path, name, value, got)
		}
	}
}

// A field of a fault replaces the usual field, in any spelling.
func TestWithHeader(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.Fail(t, `{"route": "mds.*", "withHeader": {"metadata-flavor": "Other", "Content-Type": "text/x", "Date": "never", "X-New": "new"}}`)
	got := e.Get(t, "/")
	fields := map[string][]string{}
	for _, line := range got.Headers {
		name, value, _ := strings.Cut(line, ": ")
		fields[strings.ToLower(name)] = append(fields[strings.ToLower(name)], value)
	}
	for name, want := range map[string]string{"metadata-flavor": "Other", "content-type": "text/x", "date": "never", "x-new": "new"} {
		if !slices.Equal(fields[name], []string{want}) {
			t.Errorf("%s is %q, want %q", name, fields[name], want)
		}
	}
}

// A delay is real time: it passes while the emulator's clock is frozen.
func TestDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, begun := emulatortest.Unserved(t, ""), time.Now()
		s.Clock.Freeze()
		if _, err := s.Faults.Add(fault.Rule{Route: "mds.ping", Delay: fixtures.Duration(2 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		if got := emulatortest.Ask(t.Context(), s, "/"); got.Code != http.StatusOK || time.Since(begun) != 2*time.Second {
			t.Errorf("status %d after %v", got.Code, time.Since(begun))
		}
		if seen := s.Journal.Since(0).Exchanges[0]; time.Duration(seen.Duration) != 2*time.Second {
			t.Errorf("the journal has the duration %v", time.Duration(seen.Duration))
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		emulatortest.Ask(gone, s, "/")
		if time.Since(begun) != 2*time.Second {
			t.Error("the delay continues after the client has left")
		}
	})
}

// A malformed answer is never JSON.
func TestMalformedIsNoJSON(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	added := e.Fail(t, `{"route": "*", "malformed": true}`)
	for i, request := range []string{
		"GET /computeMetadata/v1/project/numeric-project-id\nMetadata-Flavor: Google\n\n",
		"GET /computeMetadata/v1/instance/service-accounts/?recursive=true\nMetadata-Flavor: Google\n\n",
		"GET /computeMetadata/v1/instance/preempted?alt=json\nMetadata-Flavor: Google\n\n",
		"POST /v1/projects/demo-project/serviceAccounts/" + emulatortest.Worker + ":enable\nAuthorization: Bearer x\n\n{}",
		"GET /\n\n",
		"GET /nowhere\n\n",
	} {
		got := e.Exchange(t, request)
		if got.Body == "" || json.Valid([]byte(got.Body)) {
			t.Errorf("%s: the malformed body is valid JSON: %q", request, got.Body)
		}
		if hits := e.Hits(t, added); hits != i+1 {
			t.Errorf("%s: %d hits, want %d", request, hits, i+1)
		}
	}
	e.Faults.Clear()
	e.Fail(t, `{"route": "*", "body": "", "malformed": true}`)
	if got := e.Get(t, "/"); got.Body != "{" {
		t.Errorf("an empty body becomes %q", got.Body)
	}
}

// An answer without a body cannot break off in the body, so the connection ends before the answer.
func TestHangUpOfHead(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	added := e.Fail(t, `{"route": "mds.ping", "hangUp": "body"}`)
	conn := emulatortest.Dial(t, e.Address)
	if _, err := io.WriteString(conn, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(conn); err != nil || len(data) > 0 {
		t.Errorf("read %q, %v; want the end at once", data, err)
	}
	if seen := e.Last(t); seen.Status != 0 || seen.Fault != added.ID || e.Hits(t, added) != 1 {
		t.Errorf("the journal has %+v after %d hits", seen, e.Hits(t, added))
	}
}
