package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
)

type credentialsCommand struct {
	clientFlags `embed:""`

	Type    string `arg:"" enum:"service-account" help:"The type of credentials: ${enum}."`
	Account string `placeholder:"EMAIL" help:"The service account (that of the default instance)."`
	Output  string `type:"path" placeholder:"FILE" help:"The file to write (standard output)."`
}

// Run writes a credential file.
func (c *credentialsCommand) Run(ctx context.Context, std streams) error {
	resource := "/emulator/v1/credentials/" + c.Type
	if c.Account != "" {
		resource += "?account=" + url.QueryEscape(c.Account)
	}
	content, err := c.get(ctx, resource)
	if err != nil {
		return err
	}
	if c.Output == "" {
		_, err := io.WriteString(std.out, content)
		return err
	}
	const secret = 0o600
	if err := replaceFile(c.Output, content, secret); err != nil {
		return fmt.Errorf("write %q: %w", c.Output, rootCause(err))
	}
	return nil
}
