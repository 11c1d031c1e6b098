package door_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/door"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const login = "login@demo-project.iam.gserviceaccount.com"

// rig is a door to a service named orders, and what it told.
type rig struct {
	*httptest.Server

	doors  *door.Doors
	worlds *store.Store[*world.World]
	issuer *token.Issuer
	clock  *clock.Clock

	mu       sync.Mutex
	logs     strings.Builder
	passages []door.Passage

	forgetful bool // no passage is kept
}

// start puts a door before a handler, with further keys of the ingress.
func start(t testing.TB, ingress string, upstream http.Handler) *rig {
	t.Helper()
	behind := serve(t, upstream)
	return startAt(t, ingress+", upstream: \""+behind.URL+"\"", door.Config{})
}

// serve serves a handler over HTTP/1 and HTTP/2 without TLS.
func serve(t testing.TB, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.ReadTimeout = time.Minute // as the emulator's own addresses have
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func startAt(t testing.TB, ingress string, config door.Config) *rig {
	t.Helper()
	r := &rig{clock: clock.New(time.Now)}
	r.worlds = store.New(worldtest.Parse(t, fmt.Sprintf(`
serviceAccounts: [{email: %s}]
policies: [{resource: services/orders, bindings: [{role: roles/run.invoker, members: ["serviceAccount:%[1]s"]}]}]
instances: [{name: orders, profile: cloud-run, ingress: {%s}}]
`, login, ingress)))
	r.issuer = token.NewIssuer(worldtest.Ring(r.clock.Now), r.clock.Now)
	config.Worlds, config.Issuer, config.Clock = r.worlds, r.issuer, r.clock
	config.Logger = slog.New(slog.NewTextHandler(lockedWriter{r}, nil))
	config.Observe = func(_ *http.Request, p door.Passage) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.forgetful {
			r.passages = append(r.passages, p)
		}
	}
	r.doors = door.New(config)
	t.Cleanup(r.doors.Close)
	r.Server = serve(t, r.doors.To("orders"))
	return r
}

type lockedWriter struct{ rig *rig }

func (w lockedWriter) Write(data []byte) (int, error) {
	w.rig.mu.Lock()
	defer w.rig.mu.Unlock()
	return w.rig.logs.Write(data)
}

// keepNothing makes the rig forget its observations.
func (r *rig) keepNothing() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetful = true
}

// last is the passage that was observed last.
func (r *rig) last(t *testing.T) door.Passage {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.passages) == 0 {
		t.Fatal("nothing was observed")
	}
	return r.passages[len(r.passages)-1]
}

func (r *rig) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logs.String()
}

func (r *rig) id(t testing.TB, audience string) string {
	t.Helper()
	principal, _ := r.worlds.Load().State.Principal(login)
	minted, err := r.issuer.Mint(t.Context(), r.worlds.Load().State, token.Order{Kind: token.KindID, Principal: principal, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	return minted.Text
}

// reply is an answer with its whole body.
type reply struct {
	*http.Response

	body string
}

// do sends a request.
func do(t *testing.T, client *http.Client, r *http.Request) reply {
	t.Helper()
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return whole(t, answer)
}

func whole(t *testing.T, answer *http.Response) reply {
	t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer, string(body)}
}

// read reads the answer to a request that was sent as text.
func read(t *testing.T, reader *bufio.Reader) reply {
	t.Helper()
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return whole(t, answer)
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// raw sends text over a new connection, and returns the connection and a reader of it.
func raw(t testing.TB, server *httptest.Server, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}
