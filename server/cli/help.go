package cli

import (
	"github.com/alecthomas/kong"

	"gcp-metadata-emulator/server/cli/manual"
)

type helpCommand struct {
	Man     bool     `env:"-" help:"Print the manual in the format of man pages."`
	Command []string `arg:"" optional:"" name:"command" help:"Command, such as fixture check (default: the list of all commands)."`
}

// Help returns examples.
func (*helpCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator help exec
  gcp-metadata-emulator help --man > gcp-metadata-emulator.1`
}

// Run prints the help of a command, or the manual.
func (c *helpCommand) Run(parsed *kong.Context, std streams) error {
	if c.Man {
		return manual.Write(std.out, parsed.Model, version())
	}
	if _, code, _ := parse(append(c.Command, "--help"), std); code != 0 {
		return statusError(code) // parse has reported the mistake
	}
	return nil
}
