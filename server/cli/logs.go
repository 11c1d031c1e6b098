package cli

import (
	"context"
	"fmt"

	"gcp-metadata-emulator/server/background"
)

type logsCommand struct {
	URL    string `name:"url" default:"http://127.0.0.1:8254" placeholder:"URL" help:"Base URL of the running emulator, or unix:PATH (default: ${default})."`
	Follow bool   `short:"f" env:"-" help:"Go on to print what the emulator logs, until it ends."`
}

// Run prints the log of an emulator in the background.
func (c *logsCommand) Run(ctx context.Context, std streams) error {
	if _, err := endpointOf(c.URL); err != nil {
		return err
	}
	run, ok := inBackground(c.URL)
	if !ok {
		return noneInBackground(ctx, c.URL)
	}
	var err error
	if c.Follow {
		err = background.FollowLog(ctx, std.out, run)
	} else {
		err = background.CopyLog(std.out, run.Files())
	}
	if err != nil {
		return fmt.Errorf("print the log: %w", err)
	}
	return nil
}
