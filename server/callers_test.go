package server_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/world/worldtest"
)

// Containers have addresses of their own; here they are loopback addresses.
const containers = `
instances:
  - {name: emulated}
  - {name: login, addresses: [127.0.0.5], metadata: {instance: {attributes: {a: "1"}}}}
  - {name: search, addresses: [127.0.0.0/24, 127.1.0.0/16], metadata: {instance: {attributes: {a: "2"}}}}
`

// newCallers starts an emulator of a world, at an address that tunnels lead to as well.
func newCallers(t *testing.T, yaml string, change func(*server.Config)) *emulatortest.Emulator {
	t.Helper()
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
		config.World = worldtest.Parse(t, yaml)
		change(config)
	})
	port, stop := listening(t, e.Serve)
	t.Cleanup(stop)
	e.Address = net.JoinHostPort("127.0.0.1", port)
	return e
}

func unchanged(*server.Config) {}

// connect connects from a loopback address.
func connect(t *testing.T, from, to string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn := emulatortest.Must[net.Conn](t)(dialer.DialContext(t.Context(), "tcp", to))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// answerTo writes requests on a connection, and returns the status and the body of the last answer.
func answerTo(t *testing.T, conn net.Conn, requests ...string) (status int, body string) {
	t.Helper()
	reader := bufio.NewReader(conn)
	for _, request := range requests {
		emulatortest.Must[int](t)(io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")))
		status, body = readAnswer(t, reader, request)
	}
	return status, body
}

// readAnswer reads the answer to a request. The body of an answer to CONNECT is the tunnel, and is not read.
func readAnswer(t *testing.T, reader *bufio.Reader, request string) (status int, body string) {
	t.Helper()
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodConnect {
		return response.StatusCode, ""
	}
	defer response.Body.Close()
	return response.StatusCode, string(emulatortest.Must[[]byte](t)(io.ReadAll(response.Body)))
}

const nameRequest = " HTTP/1.1\nHost: metadata.google.internal\nMetadata-Flavor: Google\n\n"

// Each caller gets the identity of the instance that has its address, by every way to the emulator. The
// journal names the rule.
func TestCallersByAddress(t *testing.T) {
	t.Parallel()
	e := newCallers(t, containers, unchanged)
	for way, requests := range map[string][]string{
		"directly":         {"GET /computeMetadata/v1/instance/name" + nameRequest},
		"in absolute form": {"GET http://metadata.google.internal/computeMetadata/v1/instance/name" + nameRequest},
		"through a tunnel": {"CONNECT metadata.google.internal:80" + nameRequest, "GET /computeMetadata/v1/instance/name" + nameRequest},
	} {
		for from, want := range map[string]string{"127.0.0.5": "login", "127.0.0.6": "search", "127.1.2.3": "search", "127.2.0.1": "emulated"} {
			if status, got := answerTo(t, connect(t, from, e.Address), requests...); status != http.StatusOK || got != want {
				t.Errorf("from %s %s: %d, %q; want %q", from, way, status, got, want)
			}
			rule, peer := "address", from
			if want == "emulated" {
				rule, peer = "default", ""
			}
			if seen := e.Last(t); seen.Instance != want || seen.ChosenBy != rule || seen.Peer != peer {
				t.Errorf("from %s %s: the journal has %+v", from, way, seen)
			}
		}
	}
}

// A proxy's word for the caller is not believed: the request is refused, as at Google.
func TestForwardedForIsNotBelieved(t *testing.T) {
	t.Parallel()
	e := newCallers(t, containers, unchanged)
	status, _ := answerTo(t, connect(t, "127.2.0.1", e.Address),
		"GET /computeMetadata/v1/instance/name HTTP/1.1\nHost: metadata\nMetadata-Flavor: Google\nX-Forwarded-For: 127.0.0.5\n\n")
	if seen := e.Last(t); status != http.StatusForbidden || seen.Code != reason.Forwarded || seen.Instance != "emulated" {
		t.Errorf("status %d; the journal has %+v", status, seen)
	}
}

// The listener of an instance decides before the caller's address, and the listener's own name does
// before the address too.
func TestAddressesComeLast(t *testing.T) {
	t.Parallel()
	e := newCallers(t, containers, unchanged)
	port, stop := listening(t, func(ctx context.Context, listener net.Listener) error {
		return e.ServeInstance(ctx, listener, "emulated")
	})
	defer stop()
	if status, got := answerTo(t, connect(t, "127.0.0.5", net.JoinHostPort("127.0.0.1", port)), "GET /computeMetadata/v1/instance/name"+nameRequest); got != "emulated" {
		t.Errorf("at the instance's listener: %d, %q", status, got)
	}
	const named = "GET /computeMetadata/v1/instance/name HTTP/1.1\nHost: search.localhost\nMetadata-Flavor: Google\n\n"
	if status, got := answerTo(t, connect(t, "127.0.0.5", e.Address), named); got != "search" {
		t.Errorf("by the instance's name: %d, %q", status, got)
	}
}

// If callers must be known, an unknown caller is refused. The answer gives the reason, because the program's
// author sees nothing else.
func TestUnknownCaller(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*emulatortest.Emulator{
		"fixture": newCallers(t, "callers: known"+containers, unchanged),
		"flag":    newCallers(t, containers, func(config *server.Config) { config.Workloads.Callers = fixtures.KnownCallers }),
	} {
		for _, path := range []string{"/", "/computeMetadata/v1/instance/name", "/computeMetadata/v1/instance/service-accounts/default/token", "/computeMetadata/v2/"} {
			status, got := answerTo(t, connect(t, "127.2.0.1", e.Address), "GET "+path+nameRequest)
			const want = "no instance has the address 127.2.0.1, and only known callers are answered\n" +
				"hint: add it to an instance in the fixture: addresses: [\"127.2.0.1\"], or start the emulator with --callers any\n"
			seen := e.Last(t)
			if status != http.StatusForbidden || got != want || seen.Code != reason.UnknownCaller || seen.Reason == "" || seen.Hint == "" || seen.Instance != "" {
				t.Errorf("%s: %s: %d, %q; the journal has %+v", name, path, status, got, seen)
			}
		}
		if status, got := answerTo(t, connect(t, "127.0.0.5", e.Address), "GET /computeMetadata/v1/instance/name"+nameRequest); got != "login" {
			t.Errorf("%s: a known caller gets %d, %q", name, status, got)
		}
		for _, path := range []string{"/oauth2/v3/certs", "/emulator/v1/livez"} { // no metadata
			if status, _ := answerTo(t, connect(t, "127.2.0.1", e.Address), "GET "+path+" HTTP/1.1\nHost: localhost\n\n"); status != http.StatusOK {
				t.Errorf("%s: %s: %d", name, path, status)
			}
		}
	}
}

// When an address moves to another instance, a request that waits from there is told to ask again, and
// the next request is the new instance's. Other requests keep waiting.
func TestAddressThatMoves(t *testing.T) {
	t.Parallel()
	e := newCallers(t, containers, unchanged)
	const waitRequest = "GET /computeMetadata/v1/instance/attributes/a?wait_for_change=true" + nameRequest
	type answered struct {
		status int
		body   string
	}
	wait := func(from string) <-chan answered {
		conn, done := connect(t, from, e.Address), make(chan answered, 1)
		go func() {
			status, body := answerTo(t, conn, waitRequest)
			done <- answered{status, body}
		}()
		return done
	}
	moving, staying := wait("127.0.0.5"), wait("127.1.0.7")
	for _, instance := range []string{"login", "search"} {
		if err := e.AwaitWaiter(t.Context(), func(w mds.Waiter) bool { return w.Instance == instance }); err != nil {
			t.Fatal(err)
		}
	}
	e.Replace(worldtest.Parse(t, strings.NewReplacer("127.0.0.5", "127.0.1.5", "127.0.0.0/24", "127.0.0.0/16").Replace(containers)))
	if got := <-moving; got.status != http.StatusServiceUnavailable {
		t.Errorf("the waiter whose address moved got %+v", got)
	}
	if seen := e.Last(t); seen.Code != reason.NoInstance || seen.Hint != "send the request again" {
		t.Errorf("the journal has %+v", seen)
	}
	if status, got := answerTo(t, connect(t, "127.0.0.5", e.Address), "GET /computeMetadata/v1/instance/name"+nameRequest); got != "search" {
		t.Errorf("the next request got %d, %q", status, got)
	}
	e.Call(t, http.MethodPut, "/emulator/v1/instances/search/metadata/instance/attributes/a", `{"value": "3"}`)
	if got := <-staying; got != (answered{http.StatusOK, "3"}) {
		t.Errorf("the waiter whose address stayed got %+v", got)
	}
}

// A door that only lets the project's own workloads in lets in a caller by its address.
func TestInternalTrafficByAddress(t *testing.T) {
	t.Parallel()
	e := newCallers(t, containers+`  - {name: orders, profile: cloud-run, ingress: {urls: ["http://orders.example.com"], traffic: internal, authentication: none}}
`, unchanged)
	e.HandleService("orders", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "come in") }))
	for from, want := range map[string]int{"127.0.0.5": http.StatusOK, "127.2.0.1": http.StatusNotFound} {
		if status, body := answerTo(t, connect(t, from, e.Address), "GET / HTTP/1.1\nHost: orders.example.com\n\n"); status != want {
			t.Errorf("from %s: %d, %q; want %d", from, status, body, want)
		}
	}
}
