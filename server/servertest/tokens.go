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

	"gcp-metadata-emulator/server/token"
)

// Order is a token that a test wants, whoever would be entitled to it. Only the kind is needed, and an audience of
// token.KindID and token.KindIAP.
type Order struct {
	Kind     token.Kind     `json:"kind"`
	Account  string         `json:"account,omitempty"` // a service account or a user; empty: that of the default instance
	Audience string         `json:"audience,omitempty"`
	Scopes   []string       `json:"scopes,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"` // of a JWT, over those that it would have; nil takes one away
	Lifetime time.Duration  `json:"-"`                // zero: what is usual
	Format   string         `json:"format,omitempty"` // "full": an ID token tells of the default instance
	Defect   token.Defect   `json:"defect,omitempty"`
}

// Mint issues a token to order, good or with a defect.
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

// Verify reads a token of any kind, at the emulator's time. The error says in one sentence what is wrong with it.
func (e *Emulator) Verify(text string, demand token.Demand) (token.Verified, error) {
	return e.server.Verify(context.Background(), text, demand)
}

// Call is what somebody asks of another emulator of a test, with a bearer token.
type Call struct {
	Bearer     string `json:"token"`
	Audience   string `json:"audience,omitempty"`   // the other's host, for which a service account may have signed a JWT itself
	Permission string `json:"permission,omitempty"` // that it takes
	Resource   string `json:"resource,omitempty"`   // "serviceAccounts/EMAIL"; empty: the project
}

// Caller is who calls.
type Caller struct {
	Kind      token.Kind      `json:"kind"`      // access or jwt
	Principal string          `json:"principal"` // as policies name it
	Email     string          `json:"email"`
	UniqueID  string          `json:"uniqueId"`
	Scopes    []string        `json:"scopes"`
	Boundary  json.RawMessage `json:"accessBoundary"`
	Expires   time.Time       `json:"expires"`
	Allowed   bool            `json:"allowed"` // they have the permission that was asked for
}

// Caller tells another emulator who calls it, by the rules of Google's APIs for bearer tokens and by the policies of this
// emulator's world. The error says why the token is not good.
func (e *Emulator) Caller(call Call) (Caller, error) {
	var caller Caller
	err := e.ask(http.MethodPost, "tokens:principal", call, &caller)
	return caller, err
}

// CredentialsFile writes a credential file of a type that the command "credentials" knows, such as
// "service-account", for an account or, where that is empty, for the default one, and returns its
// name. It is removed when the test ends.
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
