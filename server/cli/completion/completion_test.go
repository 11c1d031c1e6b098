package completion_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"gcp-metadata-emulator/server/cli/completion"
)

type grammar struct {
	Start struct {
		Listen string
		Color  string `values:"colors"`
		Format string `enum:"text,json" default:"text"`
		Quiet  bool
		Secret bool `hidden:""`
	} `cmd:"" default:"withargs"`
	Print struct {
		Kind string `arg:"" enum:"long,short"`
		File string `arg:"" optional:""`
	} `cmd:""`
	Check struct {
		Deep    struct{} `cmd:""`
		Shallow struct{} `cmd:""`
	} `cmd:""`
	Run struct {
		Color   string   `enum:"red,green" default:"red"`
		Command []string `arg:"" passthrough:"partial"`
	} `cmd:""`
	Hidden struct{} `cmd:"" hidden:""`
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&grammar{}, kong.Name("x"))
	vars := kong.Vars{"colors": "cyan, magenta"}
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ line, want string }{
		{"", "start print check run"},
		{"ch", "check"},
		{"--f", "--format"},
		{"--s", ""},
		{"--format ", "text json"},
		{"--format j", "json"},
		{"--format=j", "json"},
		{"--listen ", ""},
		{"--quiet st", "start"},
		{"--format json st", "start"},
		{"start --", "--help --listen --color --format --quiet"},
		{"start --color ", "cyan magenta"},
		{"start --color=m", "magenta"},
		{"start x", ""},
		{"print ", "long short"},
		{"print s", "short"},
		{"print short ", ""},
		{"check ", "deep shallow"},
		{"check deep ", ""},
		{"run --c", "--color"},
		{"run --color g", "green"},
		{"run cat --c", ""},
		{"run -- --c", ""},
		{"nonsense ", ""},
		{"--nonsense ", "start print check run"},
	} {
		var words []string
		for _, one := range completion.Candidates(parser.Model, vars, strings.Split(test.line, " ")) {
			words = append(words, one.Word)
		}
		if got := strings.Join(words, " "); got != test.want {
			t.Errorf("Candidates(%q) = %q, want %q", test.line, got, test.want)
		}
	}
	if got := completion.Candidates(parser.Model, vars, nil); got != nil {
		t.Errorf("Candidates without a word to complete = %v", got)
	}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	for _, shell := range completion.Shells() {
		if script, err := completion.Script(shell); err != nil || !strings.Contains(script, "gcp-metadata-emulator") {
			t.Errorf("Script(%q) = %q, %v", shell, script, err)
		}
	}
	if _, err := completion.Script("csh"); err == nil || slices.Contains(completion.Shells(), "csh") {
		t.Error("there is a script for csh")
	}
}
