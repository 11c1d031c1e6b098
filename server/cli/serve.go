package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

type serveCommand struct {
	Listen string `default:"127.0.0.1:8254" placeholder:"ADDR" help:"Address to serve on, HOST:PORT or unix:PATH (default: ${default})."`

	Takeover bool `help:"Also serve at the addresses of Google's servers on this machine, 169.254.169.254:80 and, with TLS, 127.0.0.1:443, and print the lines to add to the hosts file. Needs Linux and the right to add the address."`

	dnsFlags      `embed:""`
	emulatorFlags `embed:""`
}

// Run serves until the context ends.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP) // before anybody can learn the process's ID from the log
	defer signal.Stop(hangUps)
	if err := c.check(c.Takeover, "--takeover"); err != nil {
		return err
	}
	addresses := everywhere(c.Listen)
	if c.Takeover {
		giveBack, err := takeOver(std)
		if err != nil {
			return err
		}
		defer giveBack()
		addresses = addresses.withTakeover()
	}
	e, err := c.start(ctx, addresses, hangUps, c.logger(slog.LevelInfo, std))
	if err != nil {
		return err
	}
	if err := c.serveNames(ctx, e); err != nil {
		return err
	}
	if c.Takeover {
		printHosts(std.out, e.world)
	}
	e.logger.InfoContext(ctx, "serving", "url", e.url.String(), "project", e.world.Project.ID,
		"instance", e.world.DefaultInstance().Name)
	return <-e.ended
}
