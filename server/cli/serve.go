package cli

import "context"

type serveCommand struct {
	Listen string `default:"127.0.0.1:8254" placeholder:"ADDR" help:"Where every surface is served (${default})."`

	emulatorFlags `embed:""`
}

// Run serves until the context ends.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	e, err := c.start(ctx, c.Listen, std)
	if err != nil {
		return err
	}
	e.logger.InfoContext(ctx, "serving", "url", e.url.String(), "project", e.world.Project.ID,
		"instance", e.world.DefaultInstance().Name)
	if !isLoopback(c.Listen) {
		e.logger.WarnContext(ctx, "other machines may be able to get tokens and keys from this address", "listen", c.Listen)
	}
	return <-e.ended
}
