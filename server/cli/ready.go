package cli

import "context"

type readyCommand struct {
	clientFlags `embed:""`
}

// Run asks a running emulator whether it is ready.
func (c *readyCommand) Run(ctx context.Context) error {
	_, err := c.get(ctx, "/emulator/v1/readyz")
	return err
}
