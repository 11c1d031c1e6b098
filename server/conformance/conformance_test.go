package conformance_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/conformance"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	usual := conformance.Observation{Requests: []string{"mds.ping", "mds.token"}}
	asks := func(n int) []string { return slices.Repeat([]string{"mds.token"}, n) }
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
		"a storm":                  {"unavailable", conformance.Observation{Status: 1, Requests: asks(41)}, conformance.Bad, "that is a storm"},
		"no storm":                 {"unavailable", conformance.Observation{Status: 1, Requests: asks(40)}, conformance.Good, ""},
		"prints an access token":   {"slow-start", conformance.Observation{Output: "got ya29.c.abcdefghijk!", Requests: asks(2)}, conformance.Note, "it printed a token (ya29.c.abcde…)"},
		"prints an ID token":       {"slow-start", conformance.Observation{Output: "eyJhbGciOiJ9.eyJhdWQiOiJ9.c2lnbmF0dXJl", Requests: asks(2)}, conformance.Note, "it printed a token"},
		"prints nothing secret":    {"slow-start", conformance.Observation{Output: "ya29 eyJ.eyJ.x", Requests: asks(2)}, conformance.Good, ""},
		"asks nothing":             {conformance.Baseline, conformance.Observation{}, conformance.Bad, "it asked the emulator nothing"},
		"fails and prints a token": {"slow-start", conformance.Observation{Status: 1, Output: "ya29.c.abcdefghijk", Requests: asks(2)}, conformance.Bad, "it printed a token"},
	} {
		i := slices.IndexFunc(conformance.Behaviours(), func(b conformance.Behaviour) bool { return b.Name == test.behaviour })
		got := conformance.Judge(conformance.Behaviours()[i], test.seen, usual)
		if got.Verdict != test.want || !strings.Contains(strings.Join(got.Grounds, "; "), test.ground) || test.ground == "" && len(got.Grounds) > 38 {
			t.Errorf("%s: %s %q", name, got.Verdict, got.Grounds)
		}
	}
}

func TestReports(t *testing.T) {
	t.Parallel()
	behaviours := conformance.Behaviours()
	results := []conformance.Result{
		conformance.Judge(behaviours[0], conformance.Observation{Requests: []string{"mds.token"}, Took: 1250 * time.Millisecond}, conformance.Observation{}),
		conformance.Judge(behaviours[2], conformance.Observation{Status: 1, Requests: []string{"mds.token"}}, conformance.Observation{}),
	}
	var table, junit strings.Builder
	if err := conformance.WriteTable(&table, results); err != nil {
		t.Fatal(err)
	}
	if err := conformance.WriteJUnit(&junit, results); err != nil {
		t.Fatal(err)
	}
	for text, wants := range map[string][]string{
		table.String(): {"BEHAVIOUR          VERDICT  STATUS  REQUESTS  TOOK  NOTE\n", "baseline           ok       0       1         1.2s  ", "unavailable-twice  failed   1       1         0.0s  it ended with status 1"},
		junit.String(): {`<testsuite name="conformance" tests="2" failures="1">`, `<testcase classname="conformance" name="baseline" time="1.250">`, `<failure message="it ended with status 1 and should succeed: Google says to retry a 503">`},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	}
}
