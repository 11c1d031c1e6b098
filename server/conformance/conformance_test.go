package conformance_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"gcp-metadata-emulator/server/conformance"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	usual := conformance.Observation{Requests: []journal.Exchange{{Route: "mds.ping", Status: 200}, {Route: "mds.token", Status: 200}}}
	asks := func(n int) []journal.Exchange { return repeated(journal.Exchange{Route: "mds.token", Status: 200}, n) }
	struck := func(status, n int) []journal.Exchange {
		return repeated(journal.Exchange{Route: "mds.token", Status: status, Fault: "1", Path: "/token"}, n)
	}
	refused := func(code reason.Code) []journal.Exchange {
		return []journal.Exchange{{Route: "mds.metadata", Status: 403, Code: code, Reason: "the reason", UserAgent: "app"}}
	}
	for name, test := range map[string]struct {
		behaviour string
		seen      conformance.Observation
		want      conformance.Verdict
		ground    string
	}{
		"good":                     {"unavailable-twice", conformance.Observation{Requests: asks(4)}, conformance.Good, "2 requests more than usual"},
		"no retry":                 {"unavailable-twice", conformance.Observation{Status: 1, Requests: asks(2)}, conformance.Bad, "it ended with status 1 and should succeed"},
		"fails":                    {"no-account", conformance.Observation{Status: 3, Requests: asks(2)}, conformance.Good, ""},
		"hides a failure":          {"no-account", conformance.Observation{Requests: asks(2)}, conformance.Bad, "it succeeded and should fail"},
		"trusts anybody":           {"no-flavor", conformance.Observation{Requests: asks(2)}, conformance.Note, "it succeeded and should fail"},
		"hangs":                    {"unavailable", conformance.Observation{Status: 143, TimedOut: true, Requests: asks(2)}, conformance.Bad, "it did not end in time"},
		"a storm":                  {"unavailable", conformance.Observation{Status: 1, Requests: struck(503, 41)}, conformance.Bad, "that is a storm"},
		"no storm":                 {"unavailable", conformance.Observation{Status: 1, Requests: struck(503, 40)}, conformance.Good, ""},
		"prints an access token":   {"slow-start", conformance.Observation{Output: "got ya29.c.abcdefghijk!", Requests: asks(2)}, conformance.Note, "it printed a token (ya29.c.abcde…)"},
		"prints an ID token":       {"slow-start", conformance.Observation{Output: "eyJhbGciOiJ9.eyJhdWQiOiJ9.c2lnbmF0dXJl", Requests: asks(2)}, conformance.Note, "it printed a token"},
		"prints nothing secret":    {"slow-start", conformance.Observation{Output: "ya29 eyJ.eyJ.x", Requests: asks(2)}, conformance.Good, ""},
		"asks nothing":             {conformance.Baseline, conformance.Observation{}, conformance.Bad, "it asked the emulator nothing"},
		"writes a token":           {conformance.Baseline, conformance.Observation{Files: []string{"a.log"}, Requests: asks(1)}, conformance.Note, `it wrote a token to "a.log"`},
		"lacks the flavor":         {conformance.Baseline, conformance.Observation{Requests: refused(reason.FlavorMissing)}, conformance.Note, "1 request of app to mds.metadata was refused: the reason"},
		"goes through a proxy":     {"boot", conformance.Observation{Requests: refused(reason.Forwarded)}, conformance.Note, "1 request of app to mds.metadata was refused: the reason"},
		"asks for what is missing": {conformance.Baseline, conformance.Observation{Requests: refused(reason.UnknownEntry)}, conformance.Good, ""},
		"keeps no tokens":          {conformance.Baseline, conformance.Observation{Requests: asks(10)}, conformance.Note, "it does not keep tokens until they expire"},
		"cannot keep tokens":       {"short-tokens", conformance.Observation{Requests: struck(200, 10)}, conformance.Good, ""},
		"retries in vain":          {"forbidden", conformance.Observation{Status: 1, Requests: struck(403, 5)}, conformance.Note, "it tries again at once"},
		"retries with hope":        {"unavailable", conformance.Observation{Status: 1, Requests: struck(503, 5)}, conformance.Good, ""},
		"comes too early":          {"retry-after", conformance.Observation{Requests: append(struck(503, 1), after(1500*time.Millisecond))}, conformance.Note, "it asked again after 1.5s, although the answer asked for 2s"},
		"comes when asked to":      {"retry-after", conformance.Observation{Requests: append(struck(503, 1), after(2*time.Second))}, conformance.Good, ""},
		"fails and prints a token": {"slow-start", conformance.Observation{Status: 1, Output: "ya29.c.abcdefghijk", Requests: asks(2)}, conformance.Bad, "it printed a token"},
	} {
		i := slices.IndexFunc(conformance.Behaviours(), func(b conformance.Behaviour) bool { return b.Name == test.behaviour })
		got := conformance.Judge(conformance.Behaviours()[i], test.seen, usual)
		if got.Verdict != test.want || !strings.Contains(strings.Join(got.Grounds, "; "), test.ground) || test.ground == "" && len(got.Grounds) > 38 {
			t.Errorf("%s: %s %q", name, got.Verdict, got.Grounds)
		}
	}
}

func repeated(e journal.Exchange, times int) []journal.Exchange {
	return slices.Repeat([]journal.Exchange{e}, times)
}

// after returns a successful request for a token, at a time after that of the others.
func after(d time.Duration) journal.Exchange {
	return journal.Exchange{Route: "mds.token", Status: 200, Time: time.Time{}.Add(d)}
}

// A program that always does something is told so once.
func TestHabitsAreToldOnce(t *testing.T) {
	t.Parallel()
	usual := conformance.Observation{Files: []string{"a.log"}, Output: "ya29.c.abcdefghijk", Requests: repeated(journal.Exchange{Route: "mds.token", Status: 200}, 10)}
	for _, b := range conformance.Behaviours() {
		seen := usual
		if b.Program == conformance.Fails {
			seen.Status = 1
		}
		got := conformance.Judge(b, seen, usual)
		if want := map[bool]int{true: 3, false: 0}[b.Name == conformance.Baseline]; len(got.Grounds) != want {
			t.Errorf("%s: %d grounds, want %d: %q", b.Name, len(got.Grounds), want, got.Grounds)
		}
	}
}

// The rules of the behaviours are rules.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, b := range conformance.Behaviours() {
		if names[b.Name] || b.Does == "" || b.Because == "" || b.Program == "" {
			t.Errorf("%q is not a whole behaviour, or exists twice", b.Name)
		}
		names[b.Name] = true
		if odd := len(b.Faults) > 0 || b.Clock != 0 || b.Rotates || len(b.Metadata) > 0; odd == (b.Name == conformance.Baseline) {
			t.Errorf("%q: odd is %v", b.Name, odd)
		}
	}
}

func TestWithTokens(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
	file := func(text string, at time.Time) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(text), ModTime: at}
	}
	got := conformance.WithTokens(fstest.MapFS{
		"app.log":        file("token ya29.c.abcdefghijk\n", began),
		"deep/er/id.txt": file("eyJhbGciOiJ9.eyJhdWQiOiJ9.c2lnbmF0dXJl", began.Add(time.Second)),
		"older.log":      file("token ya29.c.abcdefghijk\n", began.Add(-time.Second)),
		"other.log":      file("no token\n", began),
		"late.log":       file(strings.Repeat(" ", 1<<20)+"ya29.c.abcdefghijk", began),
		".git/index":     file("ya29.c.abcdefghijk", began),
		"link":           &fstest.MapFile{Data: []byte("ya29.c.abcdefghijk"), Mode: fs.ModeSymlink, ModTime: began},
	}, began)
	if want := []string{"app.log", "deep/er/id.txt"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	if err := conformance.WriteTable(&table, twoResults()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"BEHAVIOUR          VERDICT  STATUS  REQUESTS  TOOK  NOTE\n",
		"baseline           ok       0       1         1.2s  ",
		"unavailable-twice  failed   1       1         0.0s  it ended with status 1",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is not in\n%s", want, table.String())
		}
	}
}

// twoResults returns a good result and a bad one.
func twoResults() []conformance.Result {
	behaviours := conformance.Behaviours()
	bad := slices.IndexFunc(behaviours, func(b conformance.Behaviour) bool { return b.Name == "unavailable-twice" })
	usual := conformance.Observation{Requests: []journal.Exchange{{Route: "mds.token"}}, Took: 1250 * time.Millisecond}
	const printed = "first\x00\x1b[31m<red> & \"quoted\"\xff]]>\ttoken ya29.c.abcdefghijk\nlast"
	return []conformance.Result{
		conformance.Judge(behaviours[0], usual, usual),
		conformance.Judge(behaviours[bad], conformance.Observation{Status: 1, Requests: usual.Requests, Output: printed}, usual),
	}
}
