package cli

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"gcp-metadata-emulator/server/background"
)

type serveCommand struct {
	Listen string `default:"127.0.0.1:8254" placeholder:"ADDR" help:"Address to serve on, HOST:PORT or unix:PATH (default: ${default})."`

	Takeover bool `help:"Also serve at the addresses of Google's servers on this machine, 169.254.169.254:80 and, with TLS, 169.254.169.254:443 and 127.0.0.1:443, and print the lines to add to the hosts file. Needs Linux and the right to add the address."`
	Detach   bool `help:"Serve in the background: return once the emulator is ready, and print its URL. See also stop and logs."`

	Background string `hidden:"" env:"-" help:"Path of the files of this run in the background, which --detach has made."`

	metadataTLSFlags `embed:""`
	dnsFlags         `embed:""`
	emulatorFlags    `embed:""`
}

// Run serves until the context ends.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	if c.Detach {
		return c.detach(ctx, std)
	}
	if c.Background == "" {
		return c.serve(ctx, std, func(*emulator) error { return nil })
	}
	files := background.Files(c.Background)
	lock, err := background.Hold(files)
	if err != nil {
		return fmt.Errorf("lock the files of this run: %w", err)
	}
	defer func() { _ = lock.Close() }() // nothing was written
	std.err = background.NewLog(files, os.Stderr)
	var output bytes.Buffer // for the standard output of the process that started this one
	std.out = &output
	return c.serve(ctx, std, func(e *emulator) error { return c.publish(ctx, e, output.String()) })
}

// serve serves until the context ends. It calls begun when the emulator serves.
func (c *serveCommand) serve(ctx context.Context, std streams, begun func(*emulator) error) (err error) {
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP) // before anybody can learn the process's ID from the log
	defer signal.Stop(hangUps)
	if err := c.check(c.Takeover, "--takeover"); err != nil {
		return err
	}
	over := takeover{dir: c.MetadataTLSDir}
	defer over.end()
	if c.Takeover {
		err = over.begin(std)
	} else {
		err = c.without("--takeover")
	}
	if err != nil {
		return err
	}
	e, err := c.start(ctx, over.plan(everywhere(c.Listen)), hangUps, c.logger(slog.LevelInfo, std))
	if err == nil {
		err = over.lay(ctx, e)
	}
	if err != nil {
		return err
	}
	if err := c.serveNames(ctx, e); err != nil {
		return err
	}
	if c.Takeover {
		printHosts(std.out, e.world)
	}
	e.announce(ctx)
	if c.hasBanner(ctx, e.logger) {
		e.printBanner(std.err)
	}
	if err := begun(e); err != nil {
		return err
	}
	return <-e.ended
}
