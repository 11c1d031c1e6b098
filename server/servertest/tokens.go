package servertest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gcp-metadata-emulator/server/purpose"
	"gcp-metadata-emulator/server/token"
)

// Order describes a token for a test, without a check of who is entitled to it. Only Kind is
// required and, for token.KindID and token.KindIAP, Audience.
type Order struct {
	Kind     token.Kind     `json:"kind"`
	Account  string         `json:"account,omitempty"` // service account or user; empty: the default instance's account
	Audience string         `json:"audience,omitempty"`
	Scopes   []string       `json:"scopes,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"` // override the usual claims of a JWT; a nil value removes one
	Lifetime time.Duration  `json:"-"`                // zero: the usual lifetime
	Format   string         `json:"format,omitempty"` // "full": an ID token describes the default instance
	Defect   token.Defect   `json:"defect,omitempty"`
}

// Mint issues a token to order.
func (e *Emulator) Mint(order Order) string {
	e.t.Helper()
	var minted struct {
		Token string `json:"token"`
	}
	message := struct {
		Order

		Lifetime string `json:"lifetime,omitempty"`
	}{Order: order}
	if order.Lifetime != 0 {
		message.Lifetime = order.Lifetime.String()
	}
	if err := e.ask(http.MethodPost, "tokens", message, &minted); err != nil {
		e.t.Fatalf("servertest: mint a token of kind %q: %v", order.Kind, err)
	}
	return minted.Token
}

// Verify reads a token of any kind, at the emulator's time. The error gives the reason, in one
// sentence, why the token is not valid.
func (e *Emulator) Verify(text string, demand token.Demand) (token.Verified, error) {
	return e.server.Verify(context.Background(), text, demand)
}

// VerifyFor returns the decision about a token for a purpose: "run=SERVICE", "api=HOST", "iap" or
// "oidc". It is the decision about a request with this token. An empty audience allows any audience.
func (e *Emulator) VerifyFor(receiver, text, audience string) purpose.Decision {
	e.t.Helper()
	question := map[string]string{"for": receiver, "token": text, "audience": audience}
	decided := purpose.Decision{For: receiver}
	if err := e.ask(http.MethodPost, "tokens:verify", question, &decided); err != nil {
		e.t.Fatalf("servertest: verify a token for %q: %v", receiver, err)
	}
	return decided
}

// Purposes returns the decision about a token for each purpose that the fixture offers.
func (e *Emulator) Purposes(text string) []purpose.Decision {
	e.t.Helper()
	var answer struct {
		Purposes []purpose.Decision `json:"purposes"`
	}
	if err := e.ask(http.MethodPost, "tokens:verify", map[string]string{"token": text}, &answer); err != nil {
		e.t.Fatalf("servertest: verify a token: %v", err)
	}
	return answer.Purposes
}

// Call describes a request, with a bearer token, that another emulator in a test has received.
type Call struct {
	Bearer     string `json:"token"`
	Audience   string `json:"audience,omitempty"`   // the other emulator's host, for JWTs that a service account signed for it
	Permission string `json:"permission,omitempty"` // the permission that the request needs
	Resource   string `json:"resource,omitempty"`   // "serviceAccounts/EMAIL"; empty: the project
}

// Caller describes the caller of a request.
type Caller struct {
	Kind      token.Kind      `json:"kind"`      // access or jwt
	Principal string          `json:"principal"` // name in IAM policies
	Email     string          `json:"email"`
	UniqueID  string          `json:"uniqueId"`
	Scopes    []string        `json:"scopes"`
	Boundary  json.RawMessage `json:"accessBoundary"`
	Expires   time.Time       `json:"expires"`
	Allowed   bool            `json:"allowed"` // the policies grant Call.Permission
}

// Caller tells another emulator who sent a request, by the rules of Google's APIs for bearer
// tokens and the IAM policies of this emulator's world. The error gives the reason why the token
// is not valid.
func (e *Emulator) Caller(call Call) (Caller, error) {
	var caller Caller
	err := e.ask(http.MethodPost, "tokens:principal", call, &caller)
	return caller, err
}

// CredentialsFile writes a credential file and returns its name. kind is a type of the command
// "credentials", such as "service-account". An empty account means the default instance's account
// or the first user. The file is removed when the test ends.
func (e *Emulator) CredentialsFile(t testing.TB, kind, account string) string {
	t.Helper()
	path := "credentials/" + url.PathEscape(kind)
	if account != "" {
		path += "?account=" + url.QueryEscape(account)
	}
	content, err := e.call(http.MethodGet, path, nil)
	if err != nil {
		t.Fatalf("servertest: make a credential file: %v", err)
	}
	file := filepath.Join(t.TempDir(), kind+".json")
	const secret = 0o600
	if err := os.WriteFile(file, content, secret); err != nil {
		t.Fatalf("servertest: %v", err)
	}
	return file
}
