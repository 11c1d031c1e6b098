package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

type serveCommand struct {
	Listen string `default:"127.0.0.1:8254" placeholder:"ADDR" help:"Where every surface is served (${default})."`

	emulatorFlags `embed:""`
}

// Run serves until the context ends.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP) // before anybody can know that there is something to hang up
	defer signal.Stop(hangUps)
	e, err := c.start(ctx, everywhere(c.Listen), hangUps, c.logger(slog.LevelInfo, std))
	if err != nil {
		return err
	}
	e.logger.InfoContext(ctx, "serving", "url", e.url.String(), "project", e.world.Project.ID,
		"instance", e.world.DefaultInstance().Name)
	return <-e.ended
}
