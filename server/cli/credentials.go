package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
)

type credentialsCommand struct {
	clientFlags `embed:""`

	Type    string `arg:"" enum:"service-account,authorized-user,external-account,external-account-authorized-user,impersonated-service-account" help:"The type of credentials: ${enum}."`
	Account string `placeholder:"EMAIL" help:"The service account (that of the default instance), or the user (the first) for the types of users; who is impersonated for external and impersonated accounts."`
	Source  string `enum:"external-account,service-account" default:"external-account" help:"With what credentials a service account is impersonated: ${enum}."`
	Output  string `type:"path" placeholder:"FILE" help:"The file to write (standard output)."`
}

// Run writes a credential file. With an https URL the file leads to the emulator's listener with
// TLS; who makes it is the control plane, as ever.
func (c *credentialsCommand) Run(ctx context.Context, std streams) error {
	query := url.Values{"source": {c.Source}}
	if c.Account != "" {
		query.Set("account", c.Account)
	}
	asked := c.clientFlags
	if strings.HasPrefix(c.URL, "https://") {
		query.Set("url", c.URL)
		asked.URL = usualURL // without TLS nothing has to be trusted
	}
	content, err := asked.get(ctx, "/emulator/v1/credentials/"+c.Type+"?"+query.Encode())
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
