package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/signer"
)

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
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
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

func TestFaultsOfOneAccount(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	values := wireValues(t, e)
	e.Fail(t, `{"route": "*", "match": {"account": "`+emulatortest.Worker+`"}, "status": 503}`)
	e.Fail(t, `{"route": "*", "match": {"audience": "https://struck.example.com"}, "status": 429}`)
	sign := func(account, audience string) string {
		return "POST /v1/projects/-/serviceAccounts/" + account + ":generateIdToken\nAuthorization: Bearer x\n\n" + `{"audience": "` + audience + `"}`
	}
	exchange := func(assertion string) string {
		return "POST /token\n\n" + url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {values.Replace(assertion)}}.Encode()
	}
	for name, test := range map[string]struct {
		request string
		want    int
	}{
		"metadata, another account": {"GET " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\n\n", 200},
		"metadata":                  {"GET " + emulatortest.AttachedPath + emulatortest.Worker + "/token\nMetadata-Flavor: Google\n\n", 503},
		"identity":                  {"GET " + emulatortest.AttachedPath + "default/identity?audience=https%3A%2F%2Fstruck.example.com\nMetadata-Flavor: Google\n\n", 429},
		"identity, another":         {"GET " + emulatortest.AttachedPath + "default/identity?audience=x\nMetadata-Flavor: Google\n\n", 200},
		"IAM, another account":      {sign("target@demo-project.iam.gserviceaccount.com", "x"), 200},
		"IAM":                       {sign(emulatortest.Worker, "x"), 503},
		"IAM, by unique ID":         {sign(emulatortest.WorkerID, "x"), 503},
		"IAM, audience":             {sign("target@demo-project.iam.gserviceaccount.com", "https://struck.example.com"), 429},
		"assertion":                 {exchange("${assertion:good}"), 503},
		"assertion of nobody":       {exchange("${assertion:iss-unknown}"), 400},
		"tokeninfo":                 {values.Replace("GET /tokeninfo?access_token=${access:email}\n\n"), 503},
		"tokeninfo of an ID token":  {values.Replace("GET /tokeninfo?id_token=${id}\n\n"), 503},
		"certificates":              {"GET /robot/v1/metadata/x509/" + emulatortest.Worker + "\n\n", 503},
		"keys of everybody":         {"GET /oauth2/v3/certs\n\n", 200},
		"a body that is too large":  {values.Replace("POST /token\n\nassertion=${zeros}"), 413},
	} {
		if got := e.Exchange(t, test.request); got.Status != test.want {
			t.Errorf("%s: status %d, want %d: %s", name, got.Status, test.want, got.Body)
		}
	}
}

func TestJournalKnowsWhatRequestsAreAbout(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	values := wireValues(t, e)
	const compute = "123456789012-compute@developer.gserviceaccount.com"
	form := func(assertion string) string {
		return values.Replace("POST /token\n\ngrant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=" + assertion)
	}
	metadata := func(path string) string { return "GET /computeMetadata/v1/" + path + "\nMetadata-Flavor: Google\n\n" }
	for request, want := range map[string]journal.Exchange{
		metadata("project/project-id"):                                                                 {Route: "mds.metadata", Instance: "demo-vm"},
		metadata("instance/attributes/token"):                                                          {Route: "mds.metadata", Instance: "demo-vm", Status: 404},
		metadata("instance/service-accounts/default/email"):                                            {Route: "mds.metadata", Instance: "demo-vm", Account: compute},
		metadata("instance/service-accounts/default/token"):                                            {Route: "mds.token", Instance: "demo-vm", Account: compute},
		metadata("/instance//service-accounts/default//token"):                                         {Route: "mds.token", Instance: "demo-vm", Account: compute},
		metadata("instance/service-accounts/nobody/token"):                                             {Route: "mds.metadata", Instance: "demo-vm", Account: "nobody", Status: 404},
		metadata("instance/service-accounts/default/identity?audience=a"):                              {Route: "mds.identity", Instance: "demo-vm", Account: compute, Audience: "a"},
		metadata("instance/guest-attributes/"):                                                         {Route: "mds.guest-attributes", Instance: "demo-vm", Status: 403},
		"GET /computeMetadata/v1/instance/name\nHost: other-vm.localhost\nMetadata-Flavor: Google\n\n": {Route: "mds.metadata", Instance: "other-vm"},
		"GET /\n\n":                   {Route: "mds.ping", Instance: "demo-vm"},
		"GET /latest/meta-data\n\n":   {Route: "unknown", Status: 404},
		"DELETE /oauth2/v3/certs\n\n": {Route: "unknown", Status: 404},
		form("${assertion:id-token}"): {Route: "oauth2.token", Account: emulatortest.Worker, Audience: "https://service.example.com"},
		form("${assertion:iss-unknown}"): {
			Route: "oauth2.token", Account: "nobody@demo-project.iam.gserviceaccount.com", Status: 400,
		},
		form("nonsense"): {Route: "oauth2.token", Status: 400},
		values.Replace("GET /tokeninfo?access_token=${access}\n\n"):                          {Route: "oauth2.tokeninfo", Account: emulatortest.Worker},
		values.Replace("POST /tokeninfo\n\naccess_token=${access}"):                          {Route: "oauth2.tokeninfo", Account: emulatortest.Worker},
		values.Replace("GET /tokeninfo?id_token=${id}\n\n"):                                  {Route: "oauth2.tokeninfo", Account: emulatortest.Worker, Audience: "https://service.example.com"},
		"GET /robot/v1/metadata/x509/" + emulatortest.Worker + "\n\n":                        {Route: "keys.account.x509", Account: emulatortest.Worker},
		values.Replace("GET /oauth2/v3/userinfo\nAuthorization: Bearer ${access:email}\n\n"): {Route: "oauth2.userinfo", Account: emulatortest.Worker},
		"GET /v1/projects/demo-project/serviceAccounts/" + emulatortest.WorkerID + "/keys\nAuthorization: Bearer x\n\n": {
			Route: "iam.serviceAccounts.keys.list", Account: emulatortest.Worker,
		},
		"POST /v1/token\n\n" + url.Values{"grant_type": {"x"}, "audience": {"//iam.googleapis.com/x"}}.Encode(): {
			Route: "sts.token", Audience: "//iam.googleapis.com/x", Status: 400,
		},
		"POST /v1/projects/-/serviceAccounts/" + emulatortest.Worker + ":generateIdToken\n\n" + `{"audience": "x"}`: { // refused before the body is read
			Route: "iamcredentials.generateIdToken", Account: emulatortest.Worker, Status: 401,
		},
	} {
		got := e.Exchange(t, request)
		if want.Status == 0 {
			want.Status = http.StatusOK
		}
		seen := e.Last(t)
		ignored := cmpopts.IgnoreFields(journal.Exchange{}, "Sequence", "Time", "Duration", "Method", "Path", "Bytes", "UserAgent")
		if diff := cmp.Diff(want, seen, ignored); diff != "" || seen.Bytes != len(got.Body) {
			t.Errorf("%s\nwith an answer of %d bytes: the journal has (-want +got):\n%s%+v", request, len(got.Body), diff, seen)
		}
		if strings.Contains(seen.Path, "ya29") || strings.Contains(seen.Path, "eyJ") {
			t.Errorf("the journal has a secret: %s", seen.Path)
		}
	}
	before := e.Journal.Since(0).Last
	e.Get(t, "/emulator/v1/livez")
	e.Get(t, "/emulator/v1/nothing")
	if after := e.Journal.Since(0).Last; after != before {
		t.Error("the journal has a request to the control plane")
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

// When the clock advances by an hour, the emulator replaces a cached token, and refuses the old token
// that a client holds.
func TestAdvancingAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, begun := emulatortest.Unserved(t, ""), time.Now()
		token := func() string {
			var answer struct {
				AccessToken string `json:"access_token"`
			}
			if err := json.Unmarshal(emulatortest.Ask(t.Context(), s, emulatortest.AttachedPath+"default/token").Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			return answer.AccessToken
		}
		held := token()
		if again := token(); again != held {
			t.Error("the token is not cached")
		}
		if got := emulatortest.Ask(t.Context(), s, "/tokeninfo?access_token="+held); got.Code != http.StatusOK {
			t.Fatalf("a valid token is refused: %s", got.Body)
		}
		if err := s.Clock.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		if fresh := token(); fresh == held {
			t.Error("the cached token was not replaced")
		}
		if got := emulatortest.Ask(t.Context(), s, "/tokeninfo?access_token="+held); got.Code != http.StatusBadRequest {
			t.Errorf("an expired token is accepted: %s", got.Body)
		}
		if time.Since(begun) != 0 {
			t.Errorf("the test took %v of real time", time.Since(begun))
		}
	})
}

// The certificates of the keys last less than a year: after a year, the emulator signs with new keys,
// and publishes them.
func TestAdvancingAYear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		keyID := func() string {
			parsed, err := signer.Parse(emulatortest.Ask(t.Context(), s, emulatortest.AttachedPath+"default/identity?audience=x").Body.String())
			if err != nil {
				t.Fatal(err)
			}
			return parsed.KeyID()
		}
		before := keyID()
		if err := s.Clock.Advance(365 * 24 * time.Hour); err != nil {
			t.Fatal(err)
		}
		after := keyID()
		if published := emulatortest.Ask(t.Context(), s, "/oauth2/v3/certs").Body.String(); after == before ||
			!strings.Contains(published, after) || strings.Contains(published, before) {
			t.Errorf("key %s signs tokens, key %s signed them before, and the published keys are %s", after, before, published)
		}
	})
}

// An emulator answers requests while other requests change it.
func TestDrivenWhileItAnswers(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.Clock.Run()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				got := emulatortest.Ask(t.Context(), e.Server, emulatortest.AttachedPath+"default/token")
				if got.Code != http.StatusOK && got.Code != http.StatusServiceUnavailable {
					t.Errorf("status %d", got.Code)
				}
				emulatortest.Ask(t.Context(), e.Server, "/emulator/v1/requests?route=mds.*")
			}
		})
	}
	for range 20 {
		added := e.Fail(t, `{"route": "mds.*", "match": {"account": "*"}, "status": 503, "probability": 0.5}`)
		if err := e.Clock.Advance(time.Minute); err != nil {
			t.Error(err)
		}
		e.Journal.Clear()
		e.Faults.Remove(added.ID)
	}
	all.Wait()
	e.Reset()
	if !e.Clock.FollowsMachine() || len(e.Faults.List()) > 0 || len(e.Journal.Since(0).Exchanges) > 0 {
		t.Error("faults or exchanges are left after a reset")
	}
}
