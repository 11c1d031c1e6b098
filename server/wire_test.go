package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/world"
)

// The scripts in testdata/wire are what goes over the wire: pairs of NAME.request and
// NAME.response, a file for each route. A request is a request line, headers and a body;
// a response is a status, some of the headers, spelled as they are sent, and the whole
// body. In a request ${NAME} stands for a value that wireValues makes; in a response
// <<REGEXP>> stands for what cannot be known, and a header "-NAME" must be absent.

const wireNow = "2026-11-21T12:00:00Z"

// emulator is a server under test, at a fixed time.
type emulator struct {
	*httptest.Server

	server *server.Server
	ring   *keys.Ring
	world  *world.World
	logs   *strings.Builder
}

func newEmulator(t *testing.T) *emulator {
	t.Helper()
	return newEmulatorWith(t, "fixture.yaml", func(*server.Config) {})
}

func newEmulatorWith(t *testing.T, fixtureFile string, change func(*server.Config)) *emulator {
	t.Helper()
	return newEmulatorOf(t, fixtures.Files{Fixture: filepath.Join("testdata", fixtureFile)}, change)
}

func newEmulatorOf(t *testing.T, files fixtures.Files, change func(*server.Config)) *emulator {
	t.Helper()
	now, err := time.Parse(time.RFC3339, wireNow)
	if err != nil {
		t.Fatal(err)
	}
	fixture, _, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	emulated := clock.New(time.Now)
	emulated.Freeze()
	if err := emulated.Set(now); err != nil {
		t.Fatal(err)
	}
	e := &emulator{ring: keys.NewRing("", emulated.Now), world: world.New(fixture), logs: &strings.Builder{}}
	config := server.Config{
		World:  e.world,
		Keys:   e.ring,
		Clock:  emulated,
		Logger: slog.New(slog.NewTextHandler(e.logs, nil)),

		AllowedHosts: []string{"emulator.test"},
		InstanceURLs: func() map[string]string { return map[string]string{"other-vm": "http://127.0.0.1:18255"} },
	}
	change(&config)
	e.server = server.New(config)
	e.Server = httptest.NewUnstartedServer(e.server)
	e.Config.Protocols = new(http.Protocols)
	e.Config.Protocols.SetHTTP1(true)
	e.Config.Protocols.SetUnencryptedHTTP2(true)
	e.Start()
	t.Cleanup(e.Close)
	return e
}

func TestWire(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	values, described := e.wireValues(t), e.description(t)
	for _, file := range wireFiles(t) {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		route := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			e, inTurn := e, drives(route)
			if inTurn {
				e = newEmulator(t)
			}
			for i := 0; i+1 < len(archive.Files); i += 2 {
				request, response := archive.Files[i], archive.Files[i+1]
				name := strings.TrimSuffix(request.Name, ".request")
				if response.Name != name+".response" || name == request.Name {
					t.Fatalf("%s: %s is followed by %s", file, request.Name, response.Name)
				}
				t.Run(name, func(t *testing.T) {
					if !inTurn {
						t.Parallel()
					}
					asked := values.Replace(string(request.Data))
					got := e.exchange(t, asked)
					compare(t, string(response.Data), got)
					described.checkExchange(t, asked, got)
				})
			}
			if len(archive.Files)%2 != 0 {
				t.Errorf("%s has a request without a response", file)
			}
		})
	}
	t.Cleanup(func() {
		if e.logs.Len() > 0 {
			t.Errorf("something was logged:\n%s", e.logs)
		}
	})
}

// drives tells of scripts that change what others see. They have an emulator of their own, and
// their requests come one after the other.
func drives(route string) bool {
	return slices.ContainsFunc([]string{"clock", "faults", "instances.events", "metrics", "requests", "reset", "state"}, func(name string) bool {
		return strings.HasPrefix(route, "control."+name)
	})
}

func TestEveryRouteHasAScript(t *testing.T) {
	t.Parallel()
	var scripts []string
	for _, file := range wireFiles(t) {
		scripts = append(scripts, strings.TrimSuffix(filepath.Base(file), ".txtar"))
	}
	slices.Sort(scripts)
	names := slices.Compact(slices.Sorted(slices.Values(server.RouteNames())))
	if diff := cmp.Diff(names, scripts); diff != "" {
		t.Errorf("routes and scripts differ (-routes +scripts):\n%s", diff)
	}
}

func wireFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "wire", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return files
}

// answer is a response as it came over the wire.
type answer struct {
	status  int
	headers []string // "Name: value", as they were sent
	body    string
}

func (a answer) header(name string) (string, bool) {
	for _, line := range a.headers {
		if key, value, _ := strings.Cut(line, ": "); strings.EqualFold(key, name) {
			return value, true
		}
	}
	return "", false
}

// exchange sends a request of a script and reads the answer, byte for byte.
func (e *emulator) exchange(t *testing.T, script string) answer {
	t.Helper()
	conn := dial(t, e.Listener.Addr().String())
	if _, err := io.WriteString(conn, rawRequest(script, e.Listener.Addr().String())); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	status, err := reader.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var got answer
	if _, err := fmt.Sscanf(status, "HTTP/1.1 %d", &got.status); err != nil {
		t.Fatalf("status line %q: %v", status, err)
	}
	for {
		line, err := textproto.NewReader(reader).ReadLine()
		if err != nil {
			t.Fatal(err)
		}
		if line == "" {
			break
		}
		got.headers = append(got.headers, line)
	}
	body, err := io.ReadAll(reader)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	got.body = string(body)
	return got
}

// rawRequest completes the request of a script: with a Host, with the length of the body,
// and with the wish to close the connection, so that the answer ends somewhere.
func rawRequest(script, host string) string {
	head, body, _ := strings.Cut(script, "\n\n")
	body = strings.TrimSuffix(body, "\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	raw := []string{lines[0] + " HTTP/1.1"}
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "Host:") }) {
		raw = append(raw, "Host: "+host)
	}
	raw = append(raw, lines[1:]...)
	if body != "" {
		raw = append(raw, "Content-Length: "+strconv.Itoa(len(body)))
	}
	return strings.Join(append(raw, "Connection: close", "", body), "\r\n")
}

func compare(t testing.TB, script string, got answer) {
	t.Helper()
	head, body, hasBody := strings.Cut(script, "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	if want := lines[0]; !pattern(want).MatchString(strconv.Itoa(got.status)) {
		t.Errorf("status is %d, want %s", got.status, want)
	}
	for _, line := range lines[1:] {
		if absent, ok := strings.CutPrefix(line, "-"); ok {
			if value, present := got.header(absent); present {
				t.Errorf("header %s is %q, want none", absent, value)
			}
			continue
		}
		if !slices.ContainsFunc(got.headers, pattern(line).MatchString) {
			t.Errorf("no header %q in:\n%s", line, strings.Join(got.headers, "\n"))
		}
	}
	// A script's file ends in a newline; where the body does not, its last line is "<<>>".
	body = strings.ReplaceAll(body, "<<>>\n", "")
	if hasBody && !pattern(body).MatchString(got.body) {
		t.Errorf("body differs (-want +got):\n%s", cmp.Diff(body, got.body))
	}
}

// pattern makes a regular expression of a text with <<REGEXP>> in it.
func pattern(text string) *regexp.Regexp {
	var out strings.Builder
	for rest := text; ; {
		literal, after, more := strings.Cut(rest, "<<")
		out.WriteString(regexp.QuoteMeta(literal))
		if !more {
			break
		}
		expression, remaining, _ := strings.Cut(after, ">>")
		out.WriteString("(?:" + expression + ")")
		rest = remaining
	}
	return regexp.MustCompile(`\A` + out.String() + `\z`)
}

// The scripts can only be trusted where the comparison can fail.
func TestCompareFails(t *testing.T) {
	t.Parallel()
	got := answer{status: http.StatusOK, headers: []string{"ETag: ab"}, body: "hello"}
	for _, script := range []string{
		"404\n\nhello<<>>\n", "200\nEtag: ab\n", "200\nETag: abc\n", "200\n-ETag\n", "200\n\nhello\n", "200\n\nhell<<[0-9]>><<>>\n",
	} {
		inner := &recorder{TB: t}
		compare(inner, script, got)
		if !inner.failed {
			t.Errorf("%q is taken for %+v", script, got)
		}
	}
	compare(t, "200\nETag: a<<.>>\n-Server\n\nhel<<l+>>o<<>>\n", got)
}

type recorder struct {
	testing.TB

	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }
