package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
)

type credentialsCommand struct {
	clientFlags `embed:""`

	Type    string `arg:"" enum:"service-account,authorized-user,external-account,external-account-authorized-user,impersonated-service-account" help:"The type of credentials: ${enum}."`
	Account string `placeholder:"EMAIL" help:"The service account (that of the default instance), or the user (the first) for the types of users; who is impersonated for external and impersonated accounts."`
	Source  string `enum:"external-account,service-account" default:"external-account" help:"With what credentials a service account is impersonated: ${enum}."`
	Output  string `type:"path" placeholder:"FILE" help:"The file to write (standard output)."`
}

// Run writes a credential file.
func (c *credentialsCommand) Run(ctx context.Context, std streams) error {
	query := url.Values{"source": {c.Source}}
	if c.Account != "" {
		query.Set("account", c.Account)
	}
	content, err := c.get(ctx, "/emulator/v1/credentials/"+c.Type+"?"+query.Encode())
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
