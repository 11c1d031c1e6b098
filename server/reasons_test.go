package server_test

import (
	"bytes"
	"fmt"
	"html"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/script"
)

// elsewhere names the tests of refusals that no script can ask for.
func elsewhere() map[reason.Code]string {
	return map[reason.Code]string{ //nolint:exhaustive // the others have a script
		reason.TooManyTunnels:       "proxy.TestTunnelsAreBounded",
		reason.BadConnect:           "proxy.TestConnectWithBody",
		reason.NotProxied:           "server.TestProxyRefusalsAreObserved",
		reason.Unreachable:          "server.TestProxyRefusalsAreObserved",
		reason.NoInstance:           "mds.TestProfileChanges",
		reason.UnknownCaller:        "server.TestUnknownCaller",
		reason.Stopping:             "mds.TestErrorsSpeakTheDialectOfTheInstance",
		reason.StoreUnreachable:     "server.TestReplicaWithoutItsStore",
		reason.KeyFile:              "cli.TestScripts",
		reason.NoTunnel:             "door.TestOddRequests",
		reason.UnknownRole:          "iamroles.TestUnknownRole",
		reason.Upstream:             "door.TestFailures",
		reason.Unreadable:           "wire.TestReadBody",
		reason.RateLimited:          "mds.TestGuestRateLimit",
		reason.AuthorizationPending: "oauth2.TestDevice",
		reason.SlowDown:             "oauth2.TestDevice",
		reason.ResourceExhausted:    "iamadmin.TestKeyLimits",
		reason.Unauthenticated:      "control.TestClaimsAreExact", // only the control plane says no more than that
	}
}

// Every code of the vocabulary has a script with a request that is refused with it, and the journal and
// the log and the page say why in the same words. The scripts compare the bytes of the answers.
func TestEveryReason(t *testing.T) {
	t.Parallel()
	var logs bytes.Buffer
	logged := func(config *server.Config) { config.Logger = slog.New(slog.NewTextHandler(&logs, nil)) }
	strict := func(config *server.Config) {
		logged(config)
		config.IAM = guard.Enforce
	}
	found := make(map[reason.Code]bool)
	for _, source := range []struct {
		scripts string
		start   func() (*emulatortest.Emulator, *strings.Replacer)
	}{
		{"wire", func() (*emulatortest.Emulator, *strings.Replacer) {
			e := emulatortest.NewOf(t, emulatortest.Fixture(t), logged)
			return e, wireValues(t, e)
		}},
		{"doors", func() (*emulatortest.Emulator, *strings.Replacer) {
			e := newDoors(t, logged)
			return e, doorTokens(t, e)
		}},
		{"neighbours", func() (*emulatortest.Emulator, *strings.Replacer) {
			e := newNeighbours(t, func(config *server.Config) {
				strict(config)
				config.Explain = false
			})
			return e, neighbourTokens(t, e)
		}},
		{"reasons", func() (*emulatortest.Emulator, *strings.Replacer) {
			e := emulatortest.NewOf(t, emulatortest.StrictFixture(t), strict)
			e.Fail(t, `{"route": "keys.jwks", "status": 503}`)
			return e, bearerValues(t, e)
		}},
	} {
		e, values := source.start()
		for _, request := range requestsIn(t, source.scripts) {
			logs.Reset()
			asked := values.Replace(request)
			got := e.Exchange(t, asked)
			if got.Status >= http.StatusBadRequest && isObserved(asked) {
				code := checkReason(t, e, got, logs.String())
				if !found[code] {
					checkPage(t, e)
				}
				found[code] = true
			}
		}
	}
	for code, test := range elsewhere() {
		checkTestExists(t, test)
		found[code] = true
	}
	var vocabulary []reason.Code
	for _, entry := range reason.Vocabulary() {
		vocabulary = append(vocabulary, entry.Code)
	}
	slices.Sort(vocabulary)
	if diff := cmp.Diff(vocabulary, slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("the vocabulary and the refusals of the scripts differ (-vocabulary +scripts):\n%s", diff)
	}
}

// checkTestExists checks that a test has the name package.Test.
func checkTestExists(t *testing.T, test string) {
	t.Helper()
	dir, name, _ := strings.Cut(test, ".")
	files := emulatortest.Must[[]string](t)(filepath.Glob(filepath.Join(strings.TrimPrefix(dir, "server"), "*_test.go")))
	if !slices.ContainsFunc(files, func(file string) bool {
		return bytes.Contains(emulatortest.Must[[]byte](t)(os.ReadFile(file)), []byte("func "+name+"(t"))
	}) {
		t.Errorf("there is no test %s", test)
	}
}

// checkReason checks the journal and the log of an answer, and returns its code.
func checkReason(t *testing.T, e *emulatortest.Emulator, got script.Answer, logged string) reason.Code {
	t.Helper()
	seen := e.Last(t)
	if seen.Status != got.Status || seen.Code == "" || seen.Reason == "" || seen.Hint == "" || seen.Host == "" {
		t.Errorf("%d of %s %s has the journal's entry %+v", got.Status, seen.Method, seen.Path, seen)
	}
	if !strings.Contains(logged, "code="+string(seen.Code)+" reason="+strconv.Quote(seen.Reason)) || strings.Count(logged, "msg=\"request refused\"") != 1 {
		t.Errorf("%s: the log says %s", seen.Reason, logged)
	}
	if _, told := got.Header("X-Emulator-Reason"); told || strings.Contains(got.Body, seen.Hint) && seen.Code != reason.ForeignHost {
		t.Errorf("a client reads the hint %q", seen.Hint)
	}
	return seen.Code
}

// checkPage checks that the page and the journal agree about the last request. The page answers
// loopback addresses, and no fault strikes it.
func checkPage(t *testing.T, e *emulatortest.Emulator) {
	t.Helper()
	seen := e.Last(t)
	page := e.Exchange(t, fmt.Sprintf("GET /emulator/requests?open=%d\n\n", seen.Sequence))
	text := html.UnescapeString(page.Body)
	if page.Status != http.StatusOK || !strings.Contains(text, seen.Reason) || !strings.Contains(text, seen.Hint) {
		t.Errorf("the page answers %d, and lacks the reason %q or the hint %q", page.Status, seen.Reason, seen.Hint)
	}
}

// requestsIn returns the requests of scripts, except those that drive the emulator.
func requestsIn(t *testing.T, dir string) []string {
	t.Helper()
	var requests []string
	for _, rows := range scriptsIn(t, dir) {
		if strings.HasPrefix(rows.Route, "control.") {
			continue
		}
		for _, exchange := range rows.Exchanges {
			requests = append(requests, exchange.Request)
		}
	}
	return requests
}

// bearerValues returns the tokens of the strict world that scripts name.
func bearerValues(t *testing.T, e *emulatortest.Emulator) *strings.Replacer {
	t.Helper()
	var pairs []string
	for name, bearer := range e.Bearers(t) {
		pairs = append(pairs, "${"+name+"}", bearer)
	}
	return strings.NewReplacer(pairs...)
}
