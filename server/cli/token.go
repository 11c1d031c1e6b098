package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/token"
)

type tokenCommand struct {
	clientFlags `embed:""`

	Kind     string        `arg:"" enum:"access, id, jwt, iap, firebase" help:"Kind of token: ${enum}. A jwt is self-signed by a service account; iap is an assertion of Identity-Aware Proxy; firebase is an ID token of Firebase."`
	Account  string        `placeholder:"EMAIL" help:"Service account or user that the token is for (default: the default instance's service account)."`
	User     string        `placeholder:"U" help:"User that a firebase token is for: any user ID, or the e-mail address of a user of the fixture."`
	Project  string        `placeholder:"P" help:"Project of a firebase token (default: the fixture's project)."`
	Session  bool          `help:"Print a session cookie of Firebase instead of an ID token."`
	Audience string        `placeholder:"A" help:"Audience; required for id and iap."`
	Scope    []string      `placeholder:"S" help:"Scope; may be repeated (default: cloud-platform, for an access token)."`
	Claims   string        `placeholder:"JSON" help:"Object with claims that override the usual ones; null removes a claim."`
	Lifetime time.Duration `placeholder:"D" help:"Lifetime, at most 12h, or 336h for a session cookie (default: 1h; iap: 10m)."`
	Defect   string        `placeholder:"DEFECT" values:"defects" help:"Deliberate error in the token: ${defects}."`
	Format   string        `enum:"standard, full" env:"GCP_METADATA_EMULATOR_TOKEN_FORMAT" default:"standard" help:"Whether an ID token describes the default instance: no (standard) or yes (full)."`
}

// Run prints a token.
func (c *tokenCommand) Run(ctx context.Context, std streams) error {
	text, err := c.mint(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, text)
	return err
}

// mint returns a new token.
func (c *tokenCommand) mint(ctx context.Context) (string, error) {
	order, err := c.order()
	if err != nil {
		return "", err
	}
	answer, err := c.post(ctx, "/emulator/v1/tokens", order)
	if err != nil {
		return "", err
	}
	var minted struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(answer), &minted); err != nil {
		return "", fmt.Errorf("read the emulator's answer: %w", err)
	}
	return minted.Token, nil
}

// order returns the message that asks for the token.
func (c *tokenCommand) order() (map[string]any, error) {
	order := map[string]any{"kind": c.Kind, "format": c.Format}
	if c.Session && token.Kind(c.Kind) != token.KindFirebase {
		return nil, &usageError{errors.New(`--session is only for a token of kind "firebase"`)}
	}
	if c.Session {
		order["kind"] = token.KindFirebaseSession
	}
	if c.Lifetime != 0 {
		order["lifetime"] = c.Lifetime.String()
	}
	for name, value := range map[string]string{
		"account": c.Account, "audience": c.Audience, "defect": c.Defect, "user": c.User, "project": c.Project,
	} {
		if value != "" {
			order[name] = value
		}
	}
	if len(c.Scope) > 0 {
		order["scopes"] = c.Scope
	}
	if c.Claims != "" {
		var claims map[string]json.RawMessage
		if err := json.Unmarshal([]byte(c.Claims), &claims); err != nil || claims == nil {
			return nil, &usageError{fmt.Errorf("--claims %q is not a JSON object", c.Claims)}
		}
		order["claims"] = claims
	}
	return order, nil
}

type verifyCommand struct {
	clientFlags `embed:""`

	Token    string `arg:"" help:"Token, or - to read it from standard input. A header, quotes or JSON around it do not matter."`
	Audience string `env:"GCP_METADATA_EMULATOR_VERIFY_AUDIENCE" placeholder:"A" help:"Audience that the token must have (default: any)."`
	Email    string `placeholder:"EMAIL" help:"E-mail address that the token must have (default: any or none)."`
	For      string `placeholder:"RECEIVER" help:"Receiver that must take the token: run=SERVICE, api=HOST, iap or oidc (default: any; each is listed)."`
}

// maxToken exceeds the length of all tokens, in bytes.
const maxToken = 1 << 20

// Run prints a token's content, or returns the reason why it is not valid.
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
		"token": text, "audience": c.Audience, "email": c.Email, "for": c.For,
	})
	if err != nil {
		return err
	}
	var verdict struct {
		judgement

		Purposes []judgement `json:"purposes"`
	}
	if err := json.Unmarshal([]byte(answer), &verdict); err != nil {
		return fmt.Errorf("read the emulator's answer: %w", err)
	}
	for _, warning := range verdict.Warnings {
		_, _ = fmt.Fprintf(std.err, "%s: %s\n", program, warning)
	}
	if !verdict.Valid {
		return verdict.refusal()
	}
	for _, purpose := range verdict.Purposes {
		_, _ = fmt.Fprintln(std.err, purpose)
	}
	_, err = io.WriteString(std.out, answer)
	return err
}

// judgement says whether a token is valid, in itself or for a receiver.
type judgement struct {
	For      string   `json:"for"`
	Valid    bool     `json:"valid"`
	Reason   string   `json:"reason"`
	Hint     string   `json:"hint"`
	Cause    string   `json:"cause"`
	Warnings []string `json:"warnings"`
}

// String returns a line about a receiver.
func (j judgement) String() string {
	switch {
	case j.Valid:
		return "for " + j.For + ": valid"
	case j.Cause != "":
		return "for " + j.For + ": refused: " + j.Reason + " (" + j.Cause + ")"
	default:
		return "for " + j.For + ": refused: " + j.Reason
	}
}

// refusal returns the reason why a token is not valid as an error.
func (j judgement) refusal() error {
	hints := slices.DeleteFunc([]string{j.Cause, j.Hint}, func(hint string) bool { return hint == "" })
	return &hintError{message: j.Reason, hint: strings.Join(hints, "\nhint: ")}
}

// defects lists the defects for the help text.
func defects() string {
	var names []string
	for _, defect := range token.KindID.Defects() { // KindID can have every defect
		names = append(names, string(defect))
	}
	return strings.Join(names, ", ")
}
