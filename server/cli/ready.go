package cli

import (
	"context"
	"time"
)

type readyCommand struct {
	clientFlags `embed:""`

	Wait time.Duration `placeholder:"DURATION" help:"How long to wait for the emulator to become ready, such as 30s (default: not at all)."`
}

// Run asks a running emulator whether it is ready, until it is or the time is over.
func (c *readyCommand) Run(ctx context.Context) error {
	const pause = 100 * time.Millisecond
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	late := time.After(c.Wait)
	for {
		_, err := c.get(ctx, "/emulator/v1/readyz")
		if err == nil {
			return nil
		}
		select {
		case <-late:
			return err
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}
