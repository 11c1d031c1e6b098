package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/script"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world/worldtest"
)

const (
	loginAccount = "login@demo-project.iam.gserviceaccount.com"
	ownClient    = "123-mine.apps.googleusercontent.com"
	profilesURL  = "https://user-profiles-123456789012.europe-west1.run.app"
)

// newDoors starts an emulator of the world in ingress.yaml. Every service sends back its request
// line and the credentials that it gets.
func newDoors(t *testing.T, change func(*server.Config)) *emulatortest.Emulator {
	t.Helper()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		fmt.Fprintf(w, "%s %s\nAuthorization: %s\nX-Serverless-Authorization: %s\n",
			r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("X-Serverless-Authorization"))
		for _, name := range []string{"X-Goog-Authenticated-User-Email", "X-Goog-Authenticated-User-Id", "Cookie"} {
			for _, value := range r.Header[name] {
				fmt.Fprintf(w, "%s: %s\n", name, value)
			}
		}
		if assertion := r.Header.Get("X-Goog-Iap-Jwt-Assertion"); strings.Count(assertion, ".") == 2 && assertion != "a.b.c" {
			fmt.Fprintln(w, "X-Goog-Iap-Jwt-Assertion: a JWT")
		}
	}))
	t.Cleanup(echo.Close)
	return emulatortest.NewOf(t, fixtures.Files{Fixture: worldtest.Testdata(t, "ingress.yaml")}, func(config *server.Config) {
		upstream := emulatortest.Must[*url.URL](t)(url.Parse(echo.URL))
		for _, service := range config.World.Services() {
			service.Upstream = upstream
		}
		change(config)
	})
}

// doorTokens are the tokens that scripts name.
func doorTokens(t *testing.T, e *emulatortest.Emulator) *strings.Replacer {
	t.Helper()
	id := func(who, audience string, defect token.Defect, claims map[string]any) string {
		return doorToken(t, e, who, token.Order{Kind: token.KindID, Audience: audience, Defect: defect, Claims: claims})
	}
	selfSigned := func(name, audience string) string {
		return doorToken(t, e, emulatortest.Email(name), token.Order{Kind: token.KindJWT, Audience: audience})
	}
	byLogin := map[string]string{
		"good": profilesURL, "wrong-audience": "https://other.example.com", "query": profilesURL + "/a?b=c", "fragment": profilesURL + "#a",
		"slash": profilesURL + "/", "path": profilesURL + "/push/handler", "older": e.World().State.Services()[0].URLs[1],
		"custom": "profiles", "custom-url": "https://profiles.example.com", "prefix": profilesURL + ".example.com",
		"resource":          "/projects/123456789012/locations/europe-west1/services/user-profiles",
		"instance-resource": "/projects/123456789012/locations/europe-west1/instances/user-profiles",
		"gcloud":            "32555940559.apps.googleusercontent.com",
		"adc":               "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com",
		"own-client":        ownClient,
		"tag":               "https://green---user-profiles-123456789012.europe-west1.run.app",
		"http":              "http://user-profiles-123456789012.europe-west1.run.app",
		"function":          "https://us-central1-demo-project.cloudfunctions.net/resize",
		"function-host":     "https://us-central1-demo-project.cloudfunctions.net",
		"function-run":      "https://resize-123456789012.us-central1.run.app",
		"search":            "https://search.example.com", "anybody": "https://anybody-123456789012.us-central1.run.app",
	}
	values := map[string]string{
		"id:no-email":     id(loginAccount, profilesURL, "", map[string]any{"email": nil, "email_verified": nil}),
		"id:stranger":     id(emulatortest.Email("stranger"), profilesURL, "", nil),
		"id:grouped":      id(emulatortest.Email("grouped"), profilesURL, "", nil),
		"id:gcloud-user":  id("dev@example.com", "32555940559.apps.googleusercontent.com", "", nil),
		"access:login":    doorToken(t, e, loginAccount, token.Order{Kind: token.KindAccess}),
		"access:dev":      doorToken(t, e, "dev@example.com", token.Order{Kind: token.KindAccess}),
		"access:stranger": doorToken(t, e, emulatortest.Email("stranger"), token.Order{Kind: token.KindAccess}),
		"iap:no-email":    id(loginAccount, ownClient, "", map[string]any{"email": nil, "email_verified": nil}),
		"iap:stranger":    id(emulatortest.Email("stranger"), ownClient, "", nil),
		"iap:jwt-origin":  selfSigned("login", "https://console-123456789012.us-central1.run.app"),
		"iap:jwt-any":     selfSigned("login", "https://console-123456789012.us-central1.run.app/*"),
		"iap:jwt-url":     selfSigned("login", "https://console-123456789012.us-central1.run.app/a"),
		"iap:jwt-office":  selfSigned("grouped", "https://office-123456789012.us-central1.run.app/*"),
		"iap:jwt-shut":    selfSigned("grouped", "https://shut-123456789012.us-central1.run.app/*"),
		"jwt:login":       doorToken(t, e, loginAccount, token.Order{Kind: token.KindJWT, Audience: profilesURL}),
	}
	for name, audience := range byLogin {
		values["id:"+name] = id(loginAccount, audience, "", nil)
	}
	for _, defect := range []token.Defect{token.Expired, token.Tampered, token.UnknownKey, token.AlgNone} {
		values["id:"+string(defect)] = id(loginAccount, profilesURL, defect, nil)
	}
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "${"+name+"}", value)
		if of, isID := strings.CutPrefix(name, "id:"); isID {
			pairs = append(pairs, "${unsigned:"+of+"}", value[:strings.LastIndexByte(value, '.')]+".SIGNATURE_REMOVED_BY_GOOGLE")
		}
	}
	return strings.NewReplacer(pairs...)
}

func doorToken(t *testing.T, e *emulatortest.Emulator, who string, order token.Order) string {
	t.Helper()
	principal, ok := e.World().State.Principal(who)
	if !ok {
		t.Fatalf("there is no %q", who)
	}
	order.Principal = principal
	issued := emulatortest.Must[token.Token](t)(e.Mint(context.Background(), order))
	return issued.Text
}

// The scripts in testdata/doors show the known rules of Cloud Run's front end. The rules hold for
// strict emulators and for others.
func TestDoors(t *testing.T) {
	t.Parallel()
	for _, mode := range []guard.Mode{guard.Off, guard.Enforce} {
		e := newDoors(t, func(config *server.Config) { config.IAM = mode })
		values := doorTokens(t, e)
		for _, rows := range scriptsIn(t, "doors") {
			for _, exchange := range rows.Exchanges {
				t.Run(fmt.Sprintf("%s/%s/%s", mode, rows.Route, exchange.Name), func(t *testing.T) {
					expect(t, values.Replace(exchange.Response), e.Exchange(t, values.Replace(exchange.Request)))
				})
			}
		}
	}
}

// A door is known to the journal, to faults, to metrics and to the list of instances.
func TestDoorsAreObserved(t *testing.T) {
	t.Parallel()
	e := newDoors(t, func(config *server.Config) {
		config.Explain = true
		config.DoorURLs = func() map[string]string { return map[string]string{"search": "http://127.0.0.1:18081"} }
	})
	ask := func(header string) script.Answer {
		return e.Exchange(t, "GET /a\nHost: "+strings.TrimPrefix(profilesURL, "https://")+"\n"+header+"\n")
	}
	stranger := doorToken(t, e, emulatortest.Email("stranger"), token.Order{Kind: token.KindID, Audience: profilesURL})
	refused := ask("Authorization: Bearer " + stranger + "\nUser-Agent: test/1\n")
	seen := e.Last(t)
	member := "serviceAccount:" + emulatortest.Email("stranger")
	sentence := `"` + member + `" may not invoke service "user-profiles": it lacks run.routes.invoke`
	hint := "gcloud run services add-iam-policy-binding user-profiles --region=europe-west1 --member=" + member + " --role=roles/run.invoker"
	want := journal.Exchange{
		Sequence: seen.Sequence, Time: emulatortest.Noon(), Duration: seen.Duration, Method: "GET", Path: "/a", Route: "ingress.user-profiles",
		Instance: "user-profiles", Account: emulatortest.Email("stranger"), Status: 403, Bytes: len(refused.Body), UserAgent: "test/1",
		Host: strings.TrimPrefix(profilesURL, "https://"), Caller: member, Code: reason.MissingRole, Reason: sentence, Hint: hint,
		Missing: &journal.Missing{
			Permission: "run.routes.invoke", Resource: "projects/123456789012/locations/europe-west1/services/user-profiles",
			Roles: []string{"roles/run.invoker", "roles/run.servicesInvoker", "roles/run.admin", "roles/editor", "roles/owner"},
		},
		Carried: journal.ClaimsIn(stranger),
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	if got, _ := refused.Header("X-Emulator-Reason"); got != sentence+"; hint: "+hint {
		t.Errorf("the client is told %q", got)
	}

	added := e.Fail(t, `{"route": "ingress.user-profiles", "status": 503, "times": 1}`)
	if got := ask(""); got.Status != 503 || got.Body != "Service Unavailable" {
		t.Errorf("under a fault: %+v", got)
	}
	if seen := e.Last(t); seen.Fault != added.ID || seen.Status != 503 || seen.Route != "ingress.user-profiles" {
		t.Errorf("it is written down as %+v", seen)
	}
	late := e.Fail(t, `{"route": "ingress.*", "delay": "1ms", "times": 1}`)
	if got := ask(""); got.Status != 403 || e.Last(t).Fault != late.ID || e.Hits(t, late) != 1 {
		t.Errorf("under a delay: %+v, %+v", got, e.Last(t))
	}
	if got := e.Exchange(t, "GET /emulator/metrics\n\n"); !strings.Contains(got.Body, `requests_total{route="ingress.user-profiles",status="4xx"} 2`) {
		t.Errorf("the metrics are\n%s", got.Body)
	}
	var listed struct {
		Instances []struct {
			Name    string `json:"name"`
			Ingress *struct {
				URL  string   `json:"url"`
				URLs []string `json:"urls"`
			} `json:"ingress"`
		} `json:"instances"`
	}
	if err := json.Unmarshal([]byte(e.Exchange(t, "GET /emulator/v1/instances\n\n").Body), &listed); err != nil {
		t.Fatal(err)
	}
	if search := listed.Instances[2]; listed.Instances[0].Ingress != nil || search.Ingress.URL != "http://127.0.0.1:18081" || search.Ingress.URLs[0] != "https://search.example.com" {
		t.Errorf("the instances are %+v", listed)
	}
}

// The door's own address takes tokens for that address, serves nothing else, and ends when it is
// told to.
func TestServeDoor(t *testing.T) {
	t.Parallel()
	e := newDoors(t, func(*server.Config) {})
	listener := emulatortest.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.ServeDoor(ctx, listener, "user-profiles") }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for audience, want := range map[string]int{"http://" + listener.Addr().String(): 200, "http://localhost:" + port + "/x": 200, "http://localhost:1": 401} {
		request := emulatortest.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/emulator/v1/state", nil))
		request.Header.Set("Authorization", "Bearer "+doorToken(t, e, loginAccount, token.Order{Kind: token.KindID, Audience: audience}))
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("a token for %s: %d, want %d", audience, answer.StatusCode, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A verdict about a token is the door's own decision: the door gives the same sentence and hint to a
// request with this token.
func TestVerifyForService(t *testing.T) {
	t.Parallel()
	e := newDoors(t, func(config *server.Config) { config.Explain = true })
	values := doorTokens(t, e)
	for service, host := range map[string]string{
		"user-profiles": "user-profiles-123456789012.europe-west1.run.app", "search": "search.example.com",
		"anybody": "anybody-123456789012.us-central1.run.app", "resize": "resize-123456789012.us-central1.run.app",
	} {
		for _, name := range []string{
			"id:good", "id:stranger", "id:no-email", "id:grouped", "id:wrong-audience", "id:query", "id:gcloud", "id:expired", "id:tampered",
			"id:unknown-key", "id:search", "id:function", "access:login", "jwt:login",
		} {
			text := values.Replace("${" + name + "}")
			answer := e.Exchange(t, "GET /\nHost: "+host+"\nAuthorization: Bearer "+text+"\n\n")
			said, _ := answer.Header("X-Emulator-Reason")
			got := verifyFor(t, e, service, text)
			if got.Valid != (answer.Status == http.StatusOK) || got.said() != said {
				t.Errorf("%s for %q: %+v; the door answers %d %q", name, service, got, answer.Status, said)
			}
			if lacks := strings.Contains(said, " it lacks "); lacks != (got.Missing != nil) {
				t.Errorf("%s for %q: missing is %+v", name, service, got.Missing)
			}
		}
	}
}

// Verify knows the addresses of doors, services inside the project, and services that take everybody.
func TestVerifyForServiceElsewhere(t *testing.T) {
	t.Parallel()
	e := newDoors(t, func(*server.Config) {})
	listener := emulatortest.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	order := token.Order{Kind: token.KindID, Audience: "http://" + listener.Addr().String() + "/path"}
	text := doorToken(t, e, loginAccount, order)
	if got := verifyFor(t, e, "user-profiles", text); got.Valid {
		t.Errorf("before the door is served: %+v", got)
	}
	go func() { ended <- e.ServeDoor(ctx, listener, "user-profiles") }()
	answer, err := http.Get("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if got := verifyFor(t, e, "user-profiles", text); !got.Valid || got.Principal != "serviceAccount:"+loginAccount {
		t.Errorf("while the door is served: %+v", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := verifyFor(t, e, "user-profiles", text); got.Valid {
		t.Errorf("after the door has been served: %+v", got)
	}
	for _, service := range []string{"open", "inside", "public"} {
		want := []string{`service "` + service + `" takes requests without a token, and with any`}
		if got := verifyFor(t, e, service, "garbage"); !got.Valid || !cmp.Equal(got.Warnings, want) {
			t.Errorf("for %q: %+v", service, got)
		}
	}
	for receiver, want := range map[string]string{
		"run=nothing": `there is no service "nothing"`, "login": `there is no kind of receiver "login"; write run=SERVICE, api=HOST, iap or oidc`,
	} {
		got := e.Exchange(t, "POST /emulator/v1/tokens:verify\n\n"+`{"token": "x", "for": "`+receiver+`"}`)
		if got.Status/100 != 4 || !strings.Contains(strings.ReplaceAll(got.Body, `\"`, `"`), want) {
			t.Errorf("for %q: %+v", receiver, got)
		}
	}
}

// verdict is an answer of tokens:verify.
type verdict struct {
	Valid     bool             `json:"valid"`
	Reason    string           `json:"reason"`
	Hint      string           `json:"hint"`
	Principal string           `json:"principal"`
	Warnings  []string         `json:"warnings"`
	Missing   *journal.Missing `json:"missing"`
}

// said returns the header field X-Emulator-Reason of a refusal.
func (v verdict) said() string {
	if v.Hint == "" {
		return v.Reason
	}
	return v.Reason + "; hint: " + v.Hint
}

func verifyFor(t *testing.T, e *emulatortest.Emulator, service, text string) verdict {
	t.Helper()
	answer := e.Exchange(t, "POST /emulator/v1/tokens:verify\n\n"+fmt.Sprintf(`{"token": %q, "for": "run=%s"}`, text, service))
	var got verdict
	if err := json.Unmarshal([]byte(answer.Body), &got); err != nil || answer.Status != http.StatusOK {
		t.Fatalf("verify for %q: %+v, %v", service, answer, err)
	}
	return got
}

// Faults that replace an answer or end a connection strike at doors. Faults that change the bytes of
// an answer do not, and their count shows it.
func TestDoorFaults(t *testing.T) {
	t.Parallel()
	e := newDoors(t, func(*server.Config) {})
	ask := func() (int, string) {
		request := emulatortest.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, e.URL+"/a", nil))
		request.Host = "open-123456789012.us-central1.run.app"
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			return 0, ""
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(body)
	}
	const passed = "GET /a\nAuthorization: \nX-Serverless-Authorization: \n"
	for _, test := range []struct {
		rule   string
		status int
		body   string
		hits   int
	}{
		{`"hangUp": true`, 0, "", 1},
		{`"status": 401, "body": "no"`, 401, "no", 1},
		{`"status": 429`, 429, "Rate exceeded.", 1},
		{`"malformed": true`, 200, passed, 0},
		{`"withoutHeader": "Server"`, 200, passed, 0},
	} {
		added := e.Fail(t, `{"route": "ingress.open", `+test.rule+`}`)
		status, body := ask()
		if status != test.status || body != test.body || e.Hits(t, added) != test.hits || e.Last(t).Status != test.status {
			t.Errorf("%s: %d %q, %d hits, written down as %+v", test.rule, status, body, e.Hits(t, added), e.Last(t))
		}
		e.Faults.Clear()
	}
	if status, body := ask(); status != 200 || body != passed {
		t.Errorf("without a fault: %d %q", status, body)
	}
}
