package cli

import (
	"io"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := newParser(streams{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

// Two flags that share a variable mean the same, or a user who sets the variable for one command
// breaks another.
func TestVariablesMeanOneThing(t *testing.T) {
	t.Parallel()
	meanings := map[string]string{}
	for _, command := range model(t).Leaves(false) {
		for _, flag := range command.Flags {
			for _, variable := range flag.Envs {
				if variable == "-" {
					continue
				}
				meaning := strings.Join([]string{flag.Name, flag.Enum, flag.Default, flag.Help}, " · ")
				if other, known := meanings[variable]; known && other != meaning {
					t.Errorf("%s has two meanings:\n%s\n%s (%s)", variable, other, meaning, command.Path())
				}
				meanings[variable] = meaning
			}
		}
	}
}

func TestCommandsHaveExamples(t *testing.T) {
	t.Parallel()
	for _, command := range model(t).Leaves(true) {
		if !strings.Contains(command.Detail, "Examples:\n") || !strings.Contains(command.Detail, program+" "+command.Path()) {
			t.Errorf("the help of %q has no example", command.Path())
		}
	}
}

// In a terminal of 80 columns, the help of a flag has about 50. A word that is longer sticks out.
func TestHelpHasNoLongWords(t *testing.T) {
	t.Parallel()
	const longest = 60
	for _, command := range model(t).Leaves(true) {
		values := append([]*kong.Value{}, command.Positional...)
		for _, flag := range command.Flags {
			values = append(values, flag.Value)
		}
		for _, value := range values {
			for word := range strings.FieldsSeq(value.Help) {
				if len(word) > longest {
					t.Errorf("the help of %q in %q has the long word %q", value.Name, command.Path(), word)
				}
			}
		}
	}
}
