package server_test

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/reason"
)

// The scripts in testdata/wire, one file for each route, show the bytes on the wire in pairs of
// NAME.request and NAME.response. A request is a request line, headers and a body. A response is a
// status, some of the headers, with the case of their names, and the whole body. In a request, ${NAME}
// stands for a value that wireValues makes. In a response, <<REGEXP>> stands for variable text, and a
// header "-NAME" must be absent.

func TestWire(t *testing.T) {
	t.Parallel()
	logs := &strings.Builder{}
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
		config.Logger = slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelError})) // refusals are logged at info or warn
	})
	values, described := wireValues(t, e), emulatortest.Describe(t, e.Server)
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
				e = emulatortest.New(t)
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
					got := e.Exchange(t, asked)
					compare(t, string(response.Data), got)
					described.CheckExchange(t, asked, got)
					if isObserved(asked) {
						checkExplained(t, e, got)
					}
				})
			}
			if len(archive.Files)%2 != 0 {
				t.Errorf("%s has a request without a response", file)
			}
		})
	}
	t.Cleanup(func() {
		if logs.Len() > 0 {
			t.Errorf("the log is not empty:\n%s", logs)
		}
	})
}

// The control plane reads a body as what it must be, whatever its type: curl -d sends the type of a
// form.
func TestControlPlaneReadsWhatCurlSends(t *testing.T) {
	t.Parallel()
	contentType := regexp.MustCompile(`(?m)^Content-Type: .*\n`)
	for _, file := range wireFiles(t) {
		route := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if !strings.HasPrefix(route, "control.") || route == "control.metrics" { // which counts the tokens of wireValues
			continue
		}
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			e := emulatortest.New(t)
			values := wireValues(t, e)
			for i := 0; i+1 < len(archive.Files); i += 2 {
				asked := values.Replace(string(archive.Files[i].Data))
				if head, body, _ := strings.Cut(asked, "\n\n"); strings.Contains(head, " /emulator/") && body != "" {
					asked = contentType.ReplaceAllString(head+"\n", "") + "Content-Type: application/x-www-form-urlencoded\n\n" + body
				}
				t.Run(archive.Files[i].Name, func(t *testing.T) {
					compare(t, string(archive.Files[i+1].Data), e.Exchange(t, asked))
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
func checkExplained(t *testing.T, e *emulatortest.Emulator, got emulatortest.Answer) {
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

// drives reports whether a script changes the emulator for other scripts. Such a script has an
// emulator of its own, and its requests run one after the other.
func drives(route string) bool {
	return slices.ContainsFunc([]string{
		"control.clock", "control.explain", "control.faults", "page.faults", "control.instances.events", "control.metrics", "control.requests", "control.reset", "control.state", "run.",
	}, func(name string) bool { return strings.HasPrefix(route, name) })
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

func compare(t testing.TB, script string, got emulatortest.Answer) {
	t.Helper()
	head, body, hasBody := strings.Cut(script, "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	if want := lines[0]; !pattern(want).MatchString(strconv.Itoa(got.Status)) {
		t.Errorf("status is %d, want %s", got.Status, want)
	}
	for _, line := range lines[1:] {
		if absent, ok := strings.CutPrefix(line, "-"); ok {
			if value, present := got.Header(absent); present {
				t.Errorf("header %s is %q, want none", absent, value)
			}
			continue
		}
		if !slices.ContainsFunc(got.Headers, pattern(line).MatchString) {
			t.Errorf("no header %q in:\n%s", line, strings.Join(got.Headers, "\n"))
		}
	}
	// A script's file ends in a newline. If the body does not, the last line of the script is "<<>>".
	body = strings.ReplaceAll(body, "<<>>\n", "")
	if hasBody && !pattern(body).MatchString(got.Body) {
		t.Errorf("body differs (-want +got):\n%s", cmp.Diff(body, got.Body))
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

// The scripts prove something only if the comparison can fail.
func TestCompareFails(t *testing.T) {
	t.Parallel()
	got := emulatortest.Answer{Status: http.StatusOK, Headers: []string{"ETag: ab"}, Body: "hello"}
	for _, script := range []string{
		"404\n\nhello<<>>\n", "200\nEtag: ab\n", "200\nETag: abc\n", "200\n-ETag\n", "200\n\nhello\n", "200\n\nhell<<[0-9]>><<>>\n",
	} {
		inner := &recorder{TB: t}
		compare(inner, script, got)
		if !inner.failed {
			t.Errorf("script %q accepts %+v", script, got)
		}
	}
	compare(t, "200\nETag: a<<.>>\n-Server\n\nhel<<l+>>o<<>>\n", got)
}

type recorder struct {
	testing.TB

	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }
