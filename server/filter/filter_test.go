package filter_test

import (
	"encoding/json"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/filter"
)

const item = `{
	"name": "web-1", "id": "6770654561797697182", "status": "RUNNING", "creationTimestamp": "2026-01-01T00:00:00.000-08:00",
	"zone": "https://www.googleapis.com/compute/v1/projects/demo-project/zones/us-central1-a",
	"scheduling": {"automaticRestart": true, "preemptible": false}, "labels": {"env": "prod", "empty": ""},
	"tags": {"items": ["http", "db"]}, "size": 12,
	"networkInterfaces": [{"name": "nic0", "networkIP": "10.0.0.2"}, {"name": "nic1", "networkIP": "10.1.0.2"}]
}`

func decoded(t testing.TB) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(item))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want bool
	}{
		{"", true},
		{"  ", true},
		{"name=web-1", true},
		{`name = "web-1"`, true},
		{"name='web-2'", false},
		{"name!=web-2", true},
		{"name=web*", true},
		{"name=*-2", false},
		{"name != web*", false},
		{"name:WEB", true},
		{"name:eb-*", false},
		{"name:*-1", true},
		{"labels.env=prod", true},
		{"labels.env:*", true},
		{"labels.empty:*", true},
		{`labels.empty=""`, true},
		{"labels.owner:*", false},
		{"labels.owner!=me", true},
		{"NOT labels.owner:*", true},
		{"labels:env", true},
		{"labels:owner", false},
		{"labels=env", false},
		{`labels."env" = prod`, true},
		{"tags.items:http", true},
		{"tags.items=db", true},
		{"tags.items!=db", false},
		{"networkInterfaces.networkIP=10.1.0.2", true},
		{"networkInterfaces.networkIP=10.2.0.2", false},
		{"networkInterfaces.name.x=1", false},
		{"scheduling.automaticRestart=true", true},
		{"scheduling.automaticRestart = false", false},
		{"scheduling.preemptible:false", true},
		{"size>9", true},
		{"size<=12 size>=12", true},
		{"size<9", false},
		{"size=12", true},
		{"id>6770654561797697181", true},
		{"id>6770654561797697182", false},
		{"creationTimestamp>2026-01-01T07:00:00Z", true},
		{"creationTimestamp>2026-01-01T09:00:00Z", false},
		{`creationTimestamp<"2026-02"`, true},
		{"-name=web-2", true},
		{"-(name=web-1)", false},
		{"NOT NOT name=web-1", true},
		{"name=x OR name=web-1", true},
		{"name=web-1 AND status=STOPPED", false},
		{"(name=web-1) (status=RUNNING)", true},
		{"(name=web-1)(status=STOPPED)", false},
		{"name=x AND status=RUNNING OR name=web-1", false}, // OR binds more closely
		{"name=x OR name=web-1 AND status=RUNNING", true},
		{"(name=x AND status=RUNNING) OR name=web-1", true},
		{`(cpuPlatform = "Intel Skylake") OR (size = 12) AND (scheduling.automaticRestart = true)`, true},
		{"zone:us-central1-a", true},
		{`name="we\"b"`, false},
		// Regular expressions.
		{"name eq web-1", true},
		{"name eq web", false},
		{"name eq web.*", true},
		{"name ne .*instance", true},
		{`name eq ".*\bweb\-1\b.*"`, true},
		{`name eq 'web-[0-9]'`, true},
		{"name eq (web|db)-1", true},
		{"labels.owner eq .*", false},
		{"labels.owner ne .*", true},
		{"scheduling.preemptible eq false", true},
		{"tags.items eq d.", true},
		{"tags.items ne d.", false},
		{"labels eq .*", false},
		{`(name eq "web.*") (status ne RUNNING)`, false},
		{`(name eq "web.*")(status eq 'RUN(N)ING')`, true},
		{`((name eq web.*)(status eq R.*))(size eq 12)`, true},
		{`(name eq "we\"b\)")`, false},
		{`(zone eq ".*/zones/us\-central1\-a")(name eq x|web-1)`, true},
	} {
		got, err := filter.Compute().Parse(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if got.Matches(decoded(t)) != test.want {
			t.Errorf("%s: matches is %v, want %v", test.text, !test.want, test.want)
		}
	}
}

// Resource Manager compares whole values, without regard to case, and has no regular expressions.
func TestProjects(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"name:WEB-1": true, "name:web": false, "name:web*": true, "labels.env:prod name:web-1": true} {
		got, err := filter.Projects().Parse(text)
		if err != nil || got.Matches(decoded(t)) != want {
			t.Errorf("%s: matches is %v (%v), want %v", text, !want, err, want)
		}
	}
	if _, err := filter.Projects().Parse("name eq web-1"); err == nil {
		t.Error("name eq web-1: want an error")
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"name":                           `after "name", one of the operators = != < > <= >= : is missing`,
		"name=":                          "the filter ends too early",
		"name=a OR":                      `after "OR", one of the operators = != < > <= >= : is missing`,
		"(name=a":                        `a ")" is missing`,
		"name=a)":                        `")" at byte 6 cannot stand there`,
		"=a":                             `"=a" at byte 0 cannot stand there`,
		`name="a`:                        "a closing quote is missing",
		"name=a name eq b":               `after "name", one of the operators = != < > <= >= : is missing`,
		"name eq":                        "the filter ends too early",
		"name eq (":                      `"(" is not a regular expression of RE2: missing closing )`,
		`(name eq "we(b.*")(size eq 13)`: `"we(b.*" is not a regular expression of RE2: missing closing )`,
		`name eq "a`:                     "a closing quote is missing",
		"(name eq a) AND (name eq b)":    `comparisons with "eq" and "ne" need parentheses of their own, and other operators cannot stand beside them`,
		"(name eq a) (name = b)":         `"eq" or "ne" is missing after "name"`,
		"name eq (a{1000}b{1000}){20}":   `"(a{1000}b{1000}){20}" is not a regular expression of RE2: invalid repeat count`,
		"name eq (" + strings.Repeat("a", 100) + "){1000}":           `the regular expression "(` + strings.Repeat("a", 99) + `..." is too large`,
		strings.Repeat("(", 60) + "a=b":                              "the filter is nested more than 50 levels deep",
		strings.Repeat("-", 60) + "a=b":                              "the filter is nested more than 50 levels deep",
		strings.Repeat("(", 60) + "a eq b" + strings.Repeat(")", 60): "the filter is nested more than 50 levels deep",
		strings.Repeat("a", 9000):                                    "the filter has 9000 bytes, more than 8192",
	} {
		if _, err := filter.Compute().Parse(text); err == nil || err.Error() != want {
			t.Errorf("%.40s:\n got %v\nwant %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a=b", `(a.b != "c") OR NOT d:*`, "-a<1", `(a eq "b\"")(c ne d)`, "((a eq b)(c eq d))(e eq f)", "labels.'x'>=2"} {
		f.Add(seed)
	}
	value := decoded(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, language := range []filter.Language{filter.Compute(), filter.Projects()} {
			parsed, err := language.Parse(text)
			if err != nil && (err.Error() == "" || len(err.Error()) > 1000) {
				t.Errorf("%q: the error is %q", text, err)
			}
			if err == nil {
				parsed.Matches(value)
			}
		}
	})
}
