package server_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/script"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world/worldtest"
)

// newNeighbours starts an emulator of the world in neighbours.yaml. Every neighbour sends back its
// request line and some fields.
func newNeighbours(t *testing.T, change func(*server.Config)) *emulatortest.Emulator {
	t.Helper()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		fmt.Fprintf(w, "%s %s\nHost: %s\nX-Goog-User-Project: %s\n", r.Method, r.RequestURI, r.Host, r.Header.Get("X-Goog-User-Project"))
	}))
	t.Cleanup(echo.Close)
	return emulatortest.NewOf(t, fixtures.Files{Fixture: worldtest.Testdata(t, "neighbours.yaml")}, func(config *server.Config) {
		for _, one := range config.World.Neighbours {
			one.Upstream = emulatortest.Must[*url.URL](t)(url.Parse(echo.URL))
		}
		config.Explain = true
		change(config)
	})
}

// neighbourTokens are the tokens that scripts name.
func neighbourTokens(t *testing.T, e *emulatortest.Emulator) *strings.Replacer {
	t.Helper()
	reader := emulatortest.Email("reader")
	access := func(who string, defect token.Defect, scopes ...string) string {
		return doorToken(t, e, who, token.Order{Kind: token.KindAccess, Scopes: scopes, Defect: defect})
	}
	values := map[string]string{
		"reader":    access(reader, ""),
		"nobody":    access(emulatortest.Email("nobody"), ""),
		"disabled":  access(emulatortest.Email("disabled"), ""),
		"expired":   access(reader, token.Expired),
		"read-only": access(reader, "", "https://www.googleapis.com/auth/devstorage.read_only"),
		"datastore": access(reader, "", "https://www.googleapis.com/auth/datastore"),
		"id":        doorToken(t, e, reader, token.Order{Kind: token.KindID, Audience: "https://storage.googleapis.com/"}),
	}
	for _, audience := range []string{"https://storage.googleapis.com/", "https://pubsub.googleapis.com/"} {
		values["jwt:"+audience] = doorToken(t, e, reader, token.Order{Kind: token.KindJWT, Audience: audience})
	}
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "${"+name+"}", value)
	}
	return strings.NewReplacer(pairs...)
}

func TestNeighbours(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		script string
		mode   guard.Mode
	}{{"credentials", guard.Off}, {"credentials", guard.Audit}, {"credentials", guard.Enforce}, {"strict", guard.Enforce}} {
		e := newNeighbours(t, func(config *server.Config) { config.IAM = test.mode })
		values := neighbourTokens(t, e)
		for _, rows := range scriptsIn(t, "neighbours") {
			if rows.Route != test.script {
				continue
			}
			for _, exchange := range rows.Exchanges {
				t.Run(fmt.Sprintf("%s/%s/%s", test.mode, rows.Route, exchange.Name), func(t *testing.T) {
					expect(t, exchange.Response, e.Exchange(t, values.Replace(exchange.Request)))
				})
			}
		}
	}
}

// A neighbour is known to the journal, to faults and to metrics.
func TestNeighboursAreObserved(t *testing.T) {
	t.Parallel()
	e := newNeighbours(t, func(config *server.Config) { config.IAM = guard.Enforce })
	values := neighbourTokens(t, e)
	ask := func(who string) script.Answer {
		return e.Exchange(t, values.Replace("GET /photos/a\nHost: storage.googleapis.com\nAuthorization: Bearer ${"+who+"}\n\n"))
	}
	refused := ask("nobody")
	seen := e.Last(t)
	member := "serviceAccount:" + emulatortest.Email("nobody")
	want := journal.Exchange{
		Sequence: seen.Sequence, Time: emulatortest.Noon(), Duration: seen.Duration, Method: "GET", Path: "/photos/a", Route: "neighbour.storage.googleapis.com",
		Account: emulatortest.Email("nobody"), Status: 403, Bytes: len(refused.Body), Host: "storage.googleapis.com", Caller: member,
		Code: reason.MissingPermission, Reason: `"` + member + `" lacks storage.objects.get on "projects/demo-project"`,
		Hint: `give it a role that has this permission, such as "roles/storage.objectViewer", in a policy of the resource or of the project`,
		Missing: &journal.Missing{
			Permission: "storage.objects.get", Resource: "projects/demo-project", Roles: seen.Missing.Roles,
		},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	passed := ask("reader")
	if seen := e.Last(t); seen.Status != 200 || seen.Reason != "" || seen.Account != emulatortest.Email("reader") || seen.Bytes != len(passed.Body) {
		t.Errorf("a request that passed is written down as %+v", seen)
	}
	added := e.Fail(t, `{"route": "neighbour.storage.googleapis.com", "status": 503, "times": 1}`)
	if got := ask("reader"); got.Status != 503 || e.Last(t).Fault != added.ID {
		t.Errorf("under a fault: %+v, %+v", got, e.Last(t))
	}
	if got := e.Exchange(t, "GET /emulator/metrics\n\n"); !strings.Contains(got.Body, `requests_total{route="neighbour.storage.googleapis.com",status="4xx"} 1`) {
		t.Errorf("the metrics are\n%s", got.Body)
	}
}

// The address of a neighbour leads to this neighbour alone. A neighbour that breaks the connection
// is an error of the API.
func TestServeNeighbour(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(broken.Close)
	e := newNeighbours(t, func(config *server.Config) {
		pubsub, _ := config.World.Neighbour("pubsub.googleapis.com")
		pubsub.Upstream = emulatortest.Must[*url.URL](t)(url.Parse(broken.URL))
	})
	values := neighbourTokens(t, e)
	for host, want := range map[string]int{"storage.googleapis.com": 200, "pubsub.googleapis.com": 503} {
		listener := emulatortest.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.ServeNeighbour(ctx, listener, host) }()
		request := emulatortest.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/emulator/v1/state", nil))
		request.Header.Set("Authorization", "Bearer "+values.Replace("${reader}"))
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, answer.StatusCode, want)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A signed URL is good for the request that was signed, with the key of the account and for its
// lifetime by the emulator's clock.
func TestSignedURLs(t *testing.T) {
	t.Parallel()
	e := newNeighbours(t, func(config *server.Config) { config.IAM = guard.Enforce })
	sign := func(who, method, begins string) string {
		account, _ := e.World().State.Account(emulatortest.Email(who))
		key := emulatortest.Must[*keys.Key](t)(e.Keys.User(account.Email, account.UniqueID).Active(t.Context()))
		query := "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=" + url.QueryEscape(account.Email+"/20261121/auto/storage/goog4_request") +
			"&X-Goog-Date=" + begins + "&X-Goog-Expires=600&X-Goog-SignedHeaders=host"
		content := sha256.Sum256([]byte(method + "\n/photos/a%20b\n" + query + "\nhost:storage.googleapis.com\n\nhost\nUNSIGNED-PAYLOAD"))
		signed := sha256.Sum256([]byte("GOOG4-RSA-SHA256\n" + begins + "\n20261121/auto/storage/goog4_request\n" + hex.EncodeToString(content[:])))
		signature := emulatortest.Must[[]byte](t)(key.Signer().Sign(nil, signed[:], crypto.SHA256))
		return "/photos/a%20b?" + query + "&X-Goog-Signature=" + hex.EncodeToString(signature)
	}
	const now, earlier, later = "20261121T120000Z", "20261121T115000Z", "20261121T121600Z"
	good := sign("reader", "GET", now)
	for name, test := range map[string]struct {
		method, target string
		want           int
	}{
		"good":             {"GET", good, 200},
		"last second":      {"GET", sign("reader", "GET", "20261121T115001Z"), 200},
		"expired":          {"GET", sign("reader", "GET", earlier), 400},
		"too early":        {"GET", sign("reader", "GET", later), 400},
		"another object":   {"GET", strings.Replace(good, "a%20b", "b", 1), 403},
		"another method":   {"DELETE", good, 403},
		"longer lifetime":  {"GET", strings.Replace(good, "Expires=600", "Expires=700", 1), 403},
		"another account":  {"GET", strings.Replace(good, "reader%40", "nobody%40", 1), 403},
		"another query":    {"GET", good + "&generation=1", 403},
		"malformed query":  {"GET", good + "&generation=1;", 403},
		"role missing":     {"GET", sign("nobody", "GET", now), 403},
		"disabled account": {"GET", sign("disabled", "GET", now), 403},
	} {
		if got := e.Exchange(t, test.method+" "+test.target+"\nHost: storage.googleapis.com\n\n"); got.Status != test.want {
			t.Errorf("%s: %d %s, want %d", name, got.Status, got.Body, test.want)
		}
	}
}

// A neighbour is not a proxy.
func TestNeighbourIsNoTunnel(t *testing.T) {
	t.Parallel()
	e := newNeighbours(t, func(*server.Config) {})
	request := httptest.NewRequestWithContext(t.Context(), http.MethodConnect, "/", http.NoBody)
	request.Host = "storage.googleapis.com:443"
	recorder := httptest.NewRecorder()
	e.ServeHTTP(recorder, request)
	if seen := e.Last(t); recorder.Code != http.StatusMethodNotAllowed || seen.Code != reason.NoTunnel || seen.Hint == "" {
		t.Errorf("%d, and the journal has %+v", recorder.Code, seen)
	}
}
