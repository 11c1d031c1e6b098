package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gcp-metadata-emulator/server/background"
)

type stopCommand struct {
	URL string `name:"url" default:"http://127.0.0.1:8254" placeholder:"URL" help:"Base URL of the running emulator, or unix:PATH (default: ${default})."`
}

// stopPatience is the time that an emulator has to end. Unfinished requests may take some of it.
const stopPatience = 20 * time.Second

// Run ends an emulator in the background.
func (c *stopCommand) Run(ctx context.Context, std streams) error {
	if _, err := endpointOf(c.URL); err != nil {
		return err
	}
	run, ok := inBackground(c.URL)
	if !ok || !run.IsRunning() {
		return noneInBackground(ctx, c.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	switch err := run.Stop(ctx); {
	case errors.Is(err, background.ErrEnded):
		return noneInBackground(ctx, c.URL)
	case err != nil:
		return &hintError{
			message: fmt.Sprintf("the emulator at %q, process %d, has not ended: %v", c.URL, run.Process, err),
			hint:    fmt.Sprintf("see its log with: %s logs --url %s", program, c.URL), cause: err,
		}
	}
	_, _ = fmt.Fprintf(std.err, "%s: stopped the emulator at %s, process %d\n", program, c.URL, run.Process)
	return nil
}
