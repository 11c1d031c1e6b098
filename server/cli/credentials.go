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

	Type    string `arg:"" enum:"service-account, authorized-user, external-account, external-account-authorized-user, impersonated-service-account" help:"Type of credentials: ${enum}."`
	Account string `env:"GCP_METADATA_EMULATOR_CREDENTIALS_ACCOUNT" placeholder:"EMAIL" help:"Service account or, for the types authorized-user and external-account-authorized-user, user. External and impersonated accounts impersonate this service account (default: the default instance's service account, or the first user)."`
	Source  string `enum:"external-account, service-account" default:"external-account" help:"Source credentials of an impersonated service account: ${enum}."`
	Output  string `type:"path" placeholder:"FILE" help:"File to write (default: standard output)."`
}

// Run writes a credential file. If --url is https, the file names the emulator's TLS listener,
// but Run itself talks to the control plane without TLS.
func (c *credentialsCommand) Run(ctx context.Context, std streams) error {
	query := url.Values{"source": {c.Source}}
	if c.Account != "" {
		query.Set("account", c.Account)
	}
	asked := c.clientFlags
	if strings.HasPrefix(c.URL, "https://") {
		query.Set("url", c.URL)
		asked.URL = usualURL // plain HTTP, so that Run need not trust the emulator's authority
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
