package server_test

import (
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/script"
)

// The scripts in testdata/wire show the bytes on the wire and the rules behind them. There is a script
// for each route. Package script owns their form. In a request, ${NAME} stands for a value of wireValues.

func TestWire(t *testing.T) {
	t.Parallel()
	logs := &strings.Builder{}
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
		config.Logger = slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelError})) // refusals are logged at info or warn
	})
	values, described := wireValues(t, e), emulatortest.Describe(t, e.Server)
	for _, wire := range scriptsIn(t, "wire") {
		t.Run(wire.Route, func(t *testing.T) {
			t.Parallel()
			e, inTurn := e, drives(wire.Route)
			if inTurn {
				e = emulatortest.New(t)
			}
			for _, exchange := range wire.Exchanges {
				t.Run(exchange.Name, func(t *testing.T) {
					if !inTurn {
						t.Parallel()
					}
					asked := values.Replace(exchange.Request)
					got := e.Exchange(t, asked)
					expect(t, exchange.Response, got)
					described.CheckExchange(t, asked, got)
					if isObserved(asked) {
						checkExplained(t, e, got)
					}
				})
			}
		})
	}
	t.Cleanup(func() {
		if logs.Len() > 0 {
			t.Errorf("the log is not empty:\n%s", logs)
		}
	})
}

// The control plane reads a body in its own format, with any content type: curl -d sends the type of a
// form.
func TestControlPlaneReadsWhatCurlSends(t *testing.T) {
	t.Parallel()
	contentType := regexp.MustCompile(`(?m)^Content-Type: .*\n`)
	for _, wire := range scriptsIn(t, "wire") {
		if !strings.HasPrefix(wire.Route, "control.") || wire.Route == "control.metrics" { // which counts the tokens of wireValues
			continue
		}
		t.Run(wire.Route, func(t *testing.T) {
			t.Parallel()
			e := emulatortest.New(t)
			values := wireValues(t, e)
			for _, exchange := range wire.Exchanges {
				asked := values.Replace(exchange.Request)
				if head, body, _ := strings.Cut(asked, "\n\n"); strings.Contains(head, " /emulator/") && body != "" {
					asked = contentType.ReplaceAllString(head+"\n", "") + "Content-Type: application/x-www-form-urlencoded\n\n" + body
				}
				t.Run(exchange.Name, func(t *testing.T) {
					expect(t, exchange.Response, e.Exchange(t, asked))
				})
			}
		})
	}
}

// isObserved reports whether the request of a script is recorded in the journal.
func isObserved(asked string) bool {
	line, _, _ := strings.Cut(asked, "\n")
	return !strings.Contains(line, "/emulator/")
}

// checkExplained checks that the journal says why a request was refused. Scripts share an emulator, so
// that the exchange is only known by its answer.
func checkExplained(t *testing.T, e *emulatortest.Emulator, got script.Answer) {
	t.Helper()
	if got.Status < http.StatusBadRequest {
		return
	}
	for _, seen := range slices.Backward(e.Journal.Since(0).Exchanges) {
		if seen.Status != got.Status || seen.Bytes != len(got.Body) && seen.Method != http.MethodHead {
			continue
		}
		if !reason.IsKnown(seen.Code) || seen.Reason == "" {
			t.Errorf("%s %s of %s is refused with %d, reason %q and code %q", seen.Method, seen.Path, seen.Route, seen.Status, seen.Reason, seen.Code)
		}
		return
	}
	t.Errorf("the journal has no exchange with status %d and %d bytes", got.Status, len(got.Body))
}

// drives reports whether a script changes the emulator for other scripts. Such a script has an emulator
// of its own, and its requests run one after the other.
func drives(route string) bool {
	return slices.ContainsFunc([]string{
		"control.clock", "control.explain", "control.faults", "page.faults", "control.instances.events", "control.metrics", "control.requests", "control.reset", "control.state", "run.",
	}, func(name string) bool { return strings.HasPrefix(route, name) })
}

func TestEveryRouteHasAScript(t *testing.T) {
	t.Parallel()
	var scripts []string
	for _, wire := range scriptsIn(t, "wire") {
		scripts = append(scripts, wire.Route)
	}
	slices.Sort(scripts)
	names := slices.Compact(slices.Sorted(slices.Values(server.RouteNames())))
	if diff := cmp.Diff(names, scripts); diff != "" {
		t.Errorf("routes and scripts differ (-routes +scripts):\n%s", diff)
	}
}

// scriptsIn returns the scripts of a folder below testdata.
func scriptsIn(t *testing.T, dir string) []script.Script {
	t.Helper()
	return emulatortest.Must[[]script.Script](t)(script.Read(os.DirFS("testdata"), dir+"/*.txtar"))
}

func expect(t testing.TB, response string, got script.Answer) {
	t.Helper()
	for _, mismatch := range script.Mismatches(response, got) {
		t.Error(mismatch)
	}
}

// The scripts prove something only if the comparison can fail.
func TestExpectFails(t *testing.T) {
	t.Parallel()
	got := script.Answer{Status: http.StatusOK, Headers: []string{"ETag: ab"}, Body: "hello"}
	for _, response := range []string{
		"404\n\nhello<<>>\n", "200\nEtag: ab\n", "200\nETag: abc\n", "200\n-ETag\n", "200\n\nhello\n", "200\n\nhell<<[0-9]>><<>>\n",
	} {
		inner := &recorder{TB: t}
		expect(inner, response, got)
		if !inner.failed {
			t.Errorf("response %q accepts %+v", response, got)
		}
	}
	expect(t, "200\nETag: a<<.>>\n-Server\n\nhel<<l+>>o<<>>\n", got)
}

type recorder struct {
	testing.TB

	failed bool
}

func (r *recorder) Error(...any) { r.failed = true }
