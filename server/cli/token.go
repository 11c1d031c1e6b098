package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gcp-metadata-emulator/server/token"
)

type tokenCommand struct {
	clientFlags `embed:""`

	Kind     string        `arg:"" enum:"access,id,jwt,iap" help:"The kind of token: ${enum}. A jwt is one that a service account signs itself, iap the assertion of Identity-Aware Proxy."`
	Account  string        `placeholder:"EMAIL" help:"Whom it speaks for (the service account of the default instance)."`
	Audience string        `placeholder:"A" help:"Whom it is for; id and iap need one."`
	Scope    []string      `placeholder:"S" help:"What it allows (cloud-platform, in an access token)."`
	Lifetime time.Duration `placeholder:"D" help:"How long it is good (1h; iap: 10m)."`
	Defect   string        `placeholder:"DEFECT" help:"What is to be wrong with it: ${defects}."`
	Format   string        `enum:"standard,full" default:"standard" help:"What an ID token tells of the default instance: nothing (standard) or all (full)."`
}

// Run prints a token.
func (c *tokenCommand) Run(ctx context.Context, std streams) error {
	order := map[string]any{"kind": c.Kind, "format": c.Format}
	if c.Lifetime != 0 {
		order["lifetime"] = c.Lifetime.String()
	}
	for name, value := range map[string]string{"account": c.Account, "audience": c.Audience, "defect": c.Defect} {
		if value != "" {
			order[name] = value
		}
	}
	if len(c.Scope) > 0 {
		order["scopes"] = c.Scope
	}
	answer, err := c.post(ctx, "/emulator/v1/tokens", order)
	if err != nil {
		return err
	}
	var minted struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(answer), &minted); err != nil {
		return fmt.Errorf("read the emulator's answer: %w", err)
	}
	_, err = fmt.Fprintln(std.out, minted.Token)
	return err
}

type verifyCommand struct {
	clientFlags `embed:""`

	Token    string `arg:"" help:"The token, or - to read it from standard input."`
	Audience string `placeholder:"A" help:"Whom it has to be for (anybody)."`
	Email    string `placeholder:"EMAIL" help:"Whose e-mail address it has to name (nobody's)."`
}

// maxToken is more than any token is long.
const maxToken = 1 << 20

// Run tells what a token says, or why it is refused.
func (c *verifyCommand) Run(ctx context.Context, std streams) error {
	text := c.Token
	if text == "-" {
		read, err := io.ReadAll(io.LimitReader(std.in, maxToken))
		if err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
		text = string(read)
	}
	answer, err := c.post(ctx, "/emulator/v1/tokens:verify", map[string]any{
		"token": strings.TrimSpace(text), "audience": c.Audience, "email": c.Email,
	})
	if err != nil {
		return err
	}
	var verdict struct {
		Valid    bool     `json:"valid"`
		Reason   string   `json:"reason"`
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal([]byte(answer), &verdict); err != nil {
		return fmt.Errorf("read the emulator's answer: %w", err)
	}
	if !verdict.Valid {
		return errors.New(verdict.Reason)
	}
	for _, warning := range verdict.Warnings {
		_, _ = fmt.Fprintf(std.err, "%s: %s\n", program, warning)
	}
	_, err = io.WriteString(std.out, answer)
	return err
}

// defects are those that a token can have, for people.
func defects() string {
	var names []string
	for _, defect := range token.KindID.Defects() { // which are all
		names = append(names, string(defect))
	}
	return strings.Join(names, ", ")
}
