package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/credentials"
	"gcp-metadata-emulator/server/router/hostname"
)

func surfaces() string {
	var names []string
	for _, surface := range compare.Surfaces() {
		names = append(names, surface.Name)
	}
	return strings.Join(names, ", ")
}

// runSurface compares one of Google's public hosts.
func (c *compareCommand) runSurface(ctx context.Context, std streams) error {
	i := slices.IndexFunc(compare.Surfaces(), func(s compare.Surface) bool { return s.Name == c.Surface })
	surface := compare.Surfaces()[i] // the parser knows the same names
	account, err := c.account(ctx)
	if err != nil {
		return err
	}
	c.Real = cmp.Or(c.Real, surface.URL(account.Universe))
	target, err := publicHost("--real", c.Real)
	if err == nil {
		c.with, err = c.checkedWith(publicHost)
	}
	if err != nil {
		return err
	}
	if err := checkFile("report", c.Report, "--report"); err != nil {
		return err
	}
	scripts, err := server.Scripts(surface.Routes...)
	if err != nil {
		return err
	}
	further := append(surface.TokenHosts(target, account.Universe), c.farWith()...)
	if c.with != nil {
		further = append(further, surface.TokenHosts(c.with, account.Universe)...)
	}
	interval, err := consent(ctx, c.Yes, std, target, further...)
	if err != nil {
		return err
	}
	result, err := compare.RunSurface(ctx, c.options(target, scripts, interval, std), surface, account)
	if err != nil {
		return c.advised(ctx, err)
	}
	return c.print(result, std)
}

// account reads the key file.
func (c *compareCommand) account(ctx context.Context) (compare.Account, error) {
	switch {
	case c.Key == "":
		return compare.Account{}, &usageError{&hintError{
			message: fmt.Sprintf("--surface %s needs the key file of a service account", c.Surface),
			hint:    "create a throw-away account and a key of it, and name the file with --key",
		}}
	case c.Write && c.Surface != "tokens":
		return compare.Account{}, &usageError{&hintError{
			message: fmt.Sprintf("--write: no request of the surface %q changes anything", c.Surface), hint: "leave out --write",
		}}
	}
	content, err := input.ReadNamed(ctx, c.Key)
	if err != nil {
		return compare.Account{}, &hintError{
			message: fmt.Sprintf("cannot read the key file %q: %v", c.Key, err), cause: err, hint: "name the key file of a throw-away account with --key",
		}
	}
	file, key, err := credentials.ReadKeyFile(content)
	switch {
	case errors.Is(err, credentials.ErrKind):
		return compare.Account{}, &hintError{
			message: fmt.Sprintf("%q is %v", c.Key, err), cause: err,
			hint: "create a key of a throw-away account with gcloud iam service-accounts keys create FILE --iam-account EMAIL",
		}
	case err != nil:
		return compare.Account{}, &hintError{
			message: fmt.Sprintf("cannot use the key file %q: %v", c.Key, err), cause: err, hint: "create another key of the account; the file must be as Google made it",
		}
	}
	return compare.Account{Email: file.ClientEmail, UniqueID: file.ClientID, Project: file.ProjectID, Universe: file.UniverseDomain, Key: key}, nil
}

// publicHost returns the URL in a flag, without a path. Only servers of this machine can do without TLS, because
// tokens are sent to them.
func publicHost(flag, text string) (*url.URL, error) {
	at, err := url.Parse(text)
	isURL := err == nil && at.Host != "" && strings.Trim(at.Path, "/") == ""
	if !isURL || at.Scheme != "https" && (at.Scheme != "http" || !hostname.IsLoopback(hostname.Of(at.Host))) {
		return nil, &usageError{&hintError{
			message: fmt.Sprintf("%s: %q is not the URL of a server to which tokens can be sent", flag, withoutPassword(text)),
			hint:    "write https:// and the host; http:// is for servers of this machine",
		}}
	}
	return &url.URL{Scheme: at.Scheme, Host: at.Host}, nil
}
