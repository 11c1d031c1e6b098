package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"gcp-metadata-emulator/server/attack"
	"gcp-metadata-emulator/server/router/hostname"
)

type attackCommand struct {
	clientFlags `embed:""`

	Account  string `env:"GCP_METADATA_EMULATOR_ATTACK_ACCOUNT" placeholder:"EMAIL" help:"Service account or user of the good token (default: the default instance's service account)."`
	Audience string `env:"GCP_METADATA_EMULATOR_ATTACK_AUDIENCE" placeholder:"A" help:"Audience of the good token (default: the URL of the service)."`
	Header   string `env:"GCP_METADATA_EMULATOR_ATTACK_HEADER" default:"Authorization" placeholder:"NAME" help:"Header field that carries the token, such as X-Goog-Iap-Jwt-Assertion, which gets assertions of Identity-Aware Proxy."`
	Method   string `short:"X" name:"request" env:"-" default:"GET" placeholder:"METHOD" help:"Method of the requests."`
	Remote   bool   `help:"Allow a service that is not on this machine."`
	Format   string `enum:"table, json" env:"GCP_METADATA_EMULATOR_ATTACK_FORMAT" default:"table" help:"Output format: ${enum}."`
	Target   string `arg:"" name:"target" help:"URL of the service."`
}

// Help returns examples.
func (*attackCommand) Help() string {
	return `The service gets one good token, and then tokens that it must refuse: with every defect, and others in place of the good one. A token is let in if the status is 2xx. The exit code is 1 if the service lets in a token that it must refuse, or refuses the good one. The service must use the keys of the emulator.

Examples:

    gcp-metadata-emulator attack http://127.0.0.1:8081/
    gcp-metadata-emulator attack --audience https://orders.example.com -X POST http://127.0.0.1:8081/orders
    gcp-metadata-emulator attack --header X-Goog-Iap-Jwt-Assertion --audience /projects/123456789012/apps/demo-project http://127.0.0.1:8081/`
}

// Run attacks a service and prints the result.
func (c *attackCommand) Run(ctx context.Context, std streams) error {
	if err := c.check(); err != nil {
		return err
	}
	results, err := attack.Run(ctx, attack.Target{
		URL: c.Target, Method: c.Method, Header: c.Header, Audience: cmp.Or(c.Audience, c.Target), Account: c.Account, Mint: c.mint,
	})
	if err != nil {
		return err
	}
	if err := c.write(std.out, results); err != nil {
		return err
	}
	if attack.IsClosed(results) {
		return &hintError{
			message: fmt.Sprintf("%q refuses the good token with status %d, so its other refusals would prove nothing", c.Target, results[0].Status),
			hint:    "check that the service uses the keys of this emulator, that --audience is the audience that it expects, and that --account may call it",
		}
	}
	if holes := attack.Holes(results); len(holes) > 0 {
		return fmt.Errorf("%q lets in tokens that it should refuse: %s", c.Target, strings.Join(holes, ", "))
	}
	return nil
}

// check refuses a target if it is not a URL, or is on another machine.
func (c *attackCommand) check() error {
	target, err := url.Parse(c.Target)
	if err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
		return &usageError{fmt.Errorf("%q is not a URL to attack, such as http://127.0.0.1:8081/path", c.Target)}
	}
	if !c.Remote && !hostname.IsLoopback(hostname.Of(target.Host)) {
		return &usageError{&hintError{
			message: fmt.Sprintf("%q is not on this machine", target.Host),
			hint:    "attack only services that are yours, and allow that with --remote",
		}}
	}
	return nil
}

// mint gets a token from the emulator.
func (c *attackCommand) mint(ctx context.Context, order attack.Order) (string, error) {
	answer, err := c.post(ctx, "/emulator/v1/tokens", order)
	if err != nil {
		return "", err
	}
	var minted struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(answer), &minted); err != nil || minted.Token == "" {
		return "", errors.Join(errors.New("the emulator's answer has no token"), err)
	}
	return minted.Token, nil
}

// write prints the results.
func (c *attackCommand) write(out io.Writer, results []attack.Result) error {
	if c.Format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(results)
	}
	const gap = 2
	table := tabwriter.NewWriter(out, 0, 0, gap, ' ', 0)
	_, _ = fmt.Fprintln(table, "TOKEN\tSTATUS\tVERDICT\tNOTE")
	for _, result := range results {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", result.Token, result.Status, result.Verdict, result.Note)
	}
	return table.Flush()
}
