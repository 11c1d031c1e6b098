package cli

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"gcp-metadata-emulator/server/cli/completion"
)

type completionCommand struct {
	Shell string `arg:"" enum:"${completion_shells}" help:"Shell: ${enum}."`
}

// Help returns examples.
func (*completionCommand) Help() string {
	return `Examples:
  eval "$(gcp-metadata-emulator completion bash)"
  gcp-metadata-emulator completion fish > ~/.config/fish/completions/gcp-metadata-emulator.fish`
}

// Run prints the script that makes a shell complete commands, flags and their values.
func (c *completionCommand) Run(std streams) error {
	script, err := completion.Script(c.Shell)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(std.out, script)
	return err
}

// completeCommand is the command in the scripts of the shells.
type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:"partial" help:"Words after the program's name."`
}

// Run prints the candidates for the last word: one in each line and, after a tab, its help.
func (c *completeCommand) Run(parsed *kong.Context, vars words, std streams) error {
	typed := c.Words
	if len(typed) > 0 && typed[0] == "--" {
		typed = typed[1:]
	}
	for _, candidate := range completion.Candidates(parsed.Model, kong.Vars(vars), typed) {
		if _, err := fmt.Fprintf(std.out, "%s\t%s\n", candidate.Word, strings.ReplaceAll(candidate.Help, "\n", " ")); err != nil {
			return err
		}
	}
	return nil
}
