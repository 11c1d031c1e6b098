package compare

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gcp-metadata-emulator/server/assertion"
	"gcp-metadata-emulator/server/pseudonym"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/script"
	"gcp-metadata-emulator/signer"
)

// tokenEndpoint returns the server that gives tokens for the server at a URL: Google's in the universe, or the same
// server.
func tokenEndpoint(at *url.URL, universe string) *url.URL {
	if hostname.IsGoogle(hostname.Canonical(hostname.Of(at.Host), universe)) {
		return &url.URL{Scheme: "https", Host: inUniverse("oauth2.googleapis.com", universe)}
	}
	return at
}

// inUniverse returns the name of one of Google's API hosts in a universe.
func inUniverse(host, universe string) string {
	api, ok := strings.CutSuffix(host, hostname.DefaultUniverse)
	if !ok {
		return host
	}
	return api + cmp.Or(universe, hostname.DefaultUniverse)
}

// visit makes the values of an account for a server: assertions, and the server's tokens for them.
type visit struct {
	surface  Surface
	account  Account
	stranger signer.Key
	names    *pseudonym.Names
	now      func() time.Time
}

func newVisit(surface Surface, account Account, names *pseudonym.Names, now func() time.Time) (visit, error) {
	const bits = 2048
	stranger, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return visit{}, fmt.Errorf("generate a key: %w", err)
	}
	return visit{surface, account, signer.Private(account.Key.ID(), stranger), names, now}, nil
}

// enter returns the values of the scripts' variables for a server. The assertions name the token endpoint of the
// same server, or Google's endpoint if the server is Google's. So no server can use them elsewhere.
func (v visit) enter(ctx context.Context, client *script.Client, at *url.URL) (map[string]string, error) {
	escaped := url.QueryEscape(v.account.Email)
	values := map[string]string{
		"account": v.account.Email, "account:escaped": escaped, "target": v.account.Email, "target:escaped": escaped, "target:id": v.account.UniqueID,
	}
	if v.surface.isPublic {
		return values, nil
	}
	endpoint := tokenEndpoint(at, v.account.Universe)
	signing := assertion.Account{
		Email: v.account.Email, UniqueID: v.account.UniqueID, Key: v.account.Key, Audience: endpoint.String() + "/token", Now: v.now(),
	}
	signed, err := signing.All(v.stranger)
	if err != nil {
		return nil, err
	}
	client.Lead(endpoint)
	tokens, err := v.exchange(ctx, client, signed)
	if err != nil {
		return nil, fmt.Errorf("the token endpoint of %q gives no token for the key file: %w", endpoint.String(), err)
	}
	client.Lead(at)
	maps.Copy(values, tokens)
	for name, text := range signed {
		values["assertion:"+name] = text
	}
	return values, nil
}

// exchange gets tokens for assertions.
func (v visit) exchange(ctx context.Context, client *script.Client, signed map[string]string) (map[string]string, error) {
	tokens := map[string]string{}
	for name, of := range map[string]string{"access": "good", "access:email": "email", "access:email-only": "email-only", "id": "id-token"} {
		answer, err := client.Ask(ctx, "POST /token\nContent-Type: application/x-www-form-urlencoded\n\n"+
			"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion="+signed[of])
		if err != nil {
			return nil, err
		}
		var got struct {
			Access string `json:"access_token"`
			ID     string `json:"id_token"`
			Error  string `json:"error"`
			Words  string `json:"error_description"`
		}
		_ = json.Unmarshal([]byte(answer.Body), &got)
		if answer.Status != http.StatusOK || got.Access+got.ID == "" {
			// The answer may repeat the assertion.
			return nil, fmt.Errorf("its answer is %d, %q, %q", answer.Status, v.names.RedactWords(got.Error), v.names.RedactWords(got.Words))
		}
		tokens[name] = got.Access + got.ID
	}
	tokens["bearer"] = tokens["access"]
	tokens["id:tampered"] = assertion.Tampered(tokens["id"])
	return tokens, nil
}
