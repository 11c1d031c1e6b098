// Package credentials makes credential files for Google's client libraries
// (https://cloud.google.com/docs/authentication/application-default-credentials). All URLs in them
// lead to an emulator.
//
// The package knows the right file for each library, without TLS. Package control decides who may
// get a file.
package credentials

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/accountkeys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/retired"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// The types of credential files.
const (
	ServiceAccount                = "service-account"
	AuthorizedUser                = "authorized-user"
	ExternalAccount               = "external-account"
	ExternalAccountAuthorizedUser = "external-account-authorized-user"
	ImpersonatedServiceAccount    = "impersonated-service-account"
)

// Types returns all types of credential files.
func Types() []string {
	return []string{ServiceAccount, AuthorizedUser, ExternalAccount, ExternalAccountAuthorizedUser, ImpersonatedServiceAccount}
}

// Request describes the requested file.
type Request struct {
	Type string
	// Account is the e-mail address or unique ID of the file's principal: a user for the
	// authorized-user types, otherwise a service account. The default is the first user or the
	// default instance's account. An external account speaks for a federated principal, which
	// impersonates Account if it is set.
	Account string
	// Source is the type of the source credentials of an impersonated service account:
	// ServiceAccount, or ExternalAccount, the default, which most libraries support.
	Source string
	// URL is the base URL of the emulator, without a final slash.
	URL string
}

// NotFoundError names the missing part of the world that a file needs.
type NotFoundError struct{ message string }

func (e *NotFoundError) Error() string { return e.message }

func notFound(format string, arguments ...any) error {
	return &NotFoundError{fmt.Sprintf(format, arguments...)}
}

// Maker makes credential files. It is safe for concurrent use.
type Maker struct {
	keys   *keys.Ring
	issuer *token.Issuer
}

// New returns a maker that uses the ring's keys and the issuer's refresh tokens.
func New(ring *keys.Ring, issuer *token.Issuer) *Maker { return &Maker{keys: ring, issuer: issuer} }

// File returns a credential file for encoding/json. The error is a *NotFoundError or a failure to
// use the keys.
func (m *Maker) File(ctx context.Context, w *world.World, asked Request) (any, error) {
	switch asked.Type {
	case ServiceAccount:
		return m.serviceAccount(ctx, w, asked)
	case AuthorizedUser:
		return m.authorizedUser(w, asked)
	case ExternalAccount:
		return m.externalAccount(w, asked)
	case ExternalAccountAuthorizedUser:
		return m.externalAccountAuthorizedUser(w, asked)
	case ImpersonatedServiceAccount:
		return m.impersonatedServiceAccount(ctx, w, asked)
	default:
		return nil, notFound("unknown type of credentials %q; use one of: %s", asked.Type, strings.Join(Types(), ", "))
	}
}

func (m *Maker) serviceAccount(ctx context.Context, w *world.World, asked Request) (any, error) {
	account, err := chosenAccount(w, asked.Account)
	if err != nil {
		return nil, err
	}
	key, err := accountkeys.Signing(ctx, m.keys, account)
	if err != nil {
		return nil, fmt.Errorf("make a key file for %q: %w", account.Email, err)
	}
	file, err := NewKeyFile(w, account, key, asked.URL)
	if err != nil {
		return nil, fmt.Errorf("make a key file for %q: %w", account.Email, err)
	}
	return file, nil
}

// chosenAccount returns the service account with this ID, or the default instance's account if id
// is empty.
func chosenAccount(w *world.World, id string) (*world.ServiceAccount, error) {
	if id == "" {
		attached := w.DefaultInstance().ServiceAccounts
		if len(attached) == 0 {
			return nil, notFound("the default instance has no service account; name one with \"account\"")
		}
		return attached[0].Account, nil
	}
	account, ok := w.Account(id)
	if !ok {
		return nil, notFound("there is no service account %q", id)
	}
	return account, nil
}

// authorizedUser is a user's file. Only Go's golang.org/x/oauth2 uses its token_uri.
type authorizedUser struct {
	Type           string `json:"type"`
	Account        string `json:"account"`
	ClientID       string `json:"client_id"`
	ClientSecret   string `json:"client_secret"`
	RefreshToken   string `json:"refresh_token"`
	TokenURI       string `json:"token_uri"`
	UniverseDomain string `json:"universe_domain"`
}

func (m *Maker) authorizedUser(w *world.World, asked Request) (any, error) {
	user, err := chosenUser(w, asked.Account)
	if err != nil {
		return nil, err
	}
	client := chosenClient(w)
	refresh, err := m.refresh(token.Grant{Principal: user.Principal(), Client: client.ID})
	if err != nil {
		return nil, err
	}
	return authorizedUser{
		Type:           "authorized_user",
		Account:        user.Email,
		ClientID:       client.ID,
		ClientSecret:   client.Secret,
		RefreshToken:   refresh,
		TokenURI:       asked.URL + "/token",
		UniverseDomain: w.UniverseDomain,
	}, nil
}

// externalAccountAuthorizedUser is the file of a member of a workforce identity pool.
type externalAccountAuthorizedUser struct {
	Type           string `json:"type"`
	Audience       string `json:"audience"`
	ClientID       string `json:"client_id"`
	ClientSecret   string `json:"client_secret"`
	RefreshToken   string `json:"refresh_token"`
	TokenURL       string `json:"token_url"`
	TokenInfoURL   string `json:"token_info_url"`
	UniverseDomain string `json:"universe_domain"`
}

func (m *Maker) externalAccountAuthorizedUser(w *world.World, asked Request) (any, error) {
	user, err := chosenUser(w, asked.Account)
	if err != nil {
		return nil, err
	}
	client := chosenClient(w)
	refresh, err := m.refresh(token.Grant{Principal: user.Workforce(), Client: client.ID})
	if err != nil {
		return nil, err
	}
	return externalAccountAuthorizedUser{
		Type:           "external_account_authorized_user",
		Audience:       world.IAMHost + world.WorkforcePool + "/providers/demo-provider",
		ClientID:       client.ID,
		ClientSecret:   client.Secret,
		RefreshToken:   refresh,
		TokenURL:       asked.URL + "/v1/oauthtoken",
		TokenInfoURL:   asked.URL + "/v1/introspect",
		UniverseDomain: w.UniverseDomain,
	}, nil
}

// refresh issues a refresh token with the scopes that gcloud requests from a user.
func (m *Maker) refresh(grant token.Grant) (string, error) {
	grant.Scopes = []string{"openid", "https://www.googleapis.com/auth/userinfo.email", iam.CloudPlatform}
	grant.Session = retired.NewID()
	refresh, err := m.issuer.Refresh(grant)
	if err != nil {
		return "", fmt.Errorf("issue a refresh token: %w", err)
	}
	return refresh, nil
}

func chosenUser(w *world.World, id string) (*world.User, error) {
	if id == "" {
		if len(w.Users) == 0 {
			return nil, notFound("there is no user; add one to the fixture")
		}
		return w.Users[0], nil
	}
	user, ok := w.User(id)
	if !ok {
		return nil, notFound("there is no user %q", id)
	}
	return user, nil
}

// chosenClient returns the fixture's first OAuth client. If there is none, it invents a client.
// Libraries refuse a file without a secret, so the client always has a secret.
func chosenClient(w *world.World) world.OAuthClient {
	client := world.OAuthClient{ID: "emulator.apps.googleusercontent.com"}
	if len(w.OAuthClients) > 0 {
		client = *w.OAuthClients[0]
	}
	if client.Secret == "" {
		client.Secret = "none"
	}
	return client
}

// externalAccount is the file of a workload with the default instance's metadata server as identity
// provider. A pool that trusts its ID tokens exchanges them for federated tokens.
type externalAccount struct {
	Type             string           `json:"type"`
	Audience         string           `json:"audience"`
	SubjectTokenType string           `json:"subject_token_type"`
	TokenURL         string           `json:"token_url"`
	TokenInfoURL     string           `json:"token_info_url"`
	Impersonation    string           `json:"service_account_impersonation_url,omitempty"`
	Source           credentialSource `json:"credential_source"`
	UniverseDomain   string           `json:"universe_domain"`
}

type credentialSource struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Format  map[string]string `json:"format"`
}

func (m *Maker) externalAccount(w *world.World, asked Request) (any, error) {
	provider, err := ownProvider(w)
	if err != nil {
		return nil, err
	}
	subject, err := chosenAccount(w, "")
	if err != nil {
		return nil, notFound("the default instance has no service account whose ID tokens could be exchanged; add one to the fixture")
	}
	audience := world.IAMHost + provider.Name
	accepted := audience
	if len(provider.AllowedAudiences) > 0 {
		accepted = provider.AllowedAudiences[0]
	}
	identity := asked.URL + "/computeMetadata/v1/instance/service-accounts/" + subject.Email +
		"/identity?format=full&audience=" + url.QueryEscape(accepted)
	file := externalAccount{
		Type:             "external_account",
		Audience:         audience,
		SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt",
		TokenURL:         asked.URL + "/v1/token",
		TokenInfoURL:     asked.URL + "/v1/introspect",
		Source: credentialSource{
			URL:     identity,
			Headers: map[string]string{"Metadata-Flavor": "Google"},
			Format:  map[string]string{"type": "text"},
		},
		UniverseDomain: w.UniverseDomain,
	}
	if asked.Account != "" {
		account, err := chosenAccount(w, asked.Account)
		if err != nil {
			return nil, err
		}
		file.Impersonation = impersonation(asked.URL, account)
	}
	return file, nil
}

// ownProvider returns the first enabled provider that trusts the emulator's own ID tokens.
func ownProvider(w *world.World) (*world.Provider, error) {
	for _, pool := range w.Pools {
		usable := func(provider *world.Provider) bool {
			return provider.OwnKeys && !provider.Disabled && !pool.Disabled && provider.Issuer == token.IssuerURL
		}
		if at := slices.IndexFunc(pool.Providers, usable); at >= 0 {
			return pool.Providers[at], nil
		}
	}
	return nil, notFound("no workload identity pool trusts the emulator's own ID tokens; add one to the fixture "+
		"with a provider whose issuer is %s and that has no jwksFile", token.IssuerURL)
}

func impersonation(base string, account *world.ServiceAccount) string {
	return base + "/v1/projects/-/serviceAccounts/" + account.Email + ":generateAccessToken"
}

// impersonatedServiceAccount is the file of a principal that impersonates a service account with
// its own source credentials.
type impersonatedServiceAccount struct {
	Type           string   `json:"type"`
	Impersonation  string   `json:"service_account_impersonation_url"`
	Delegates      []string `json:"delegates"`
	Source         any      `json:"source_credentials"`
	UniverseDomain string   `json:"universe_domain"`
}

func (m *Maker) impersonatedServiceAccount(ctx context.Context, w *world.World, asked Request) (any, error) {
	if asked.Account == "" {
		return nil, notFound("there is no account to impersonate; name one with \"account\"")
	}
	account, err := chosenAccount(w, asked.Account)
	if err != nil {
		return nil, err
	}
	source := Request{Type: asked.Source, URL: asked.URL}
	switch source.Type {
	case "":
		source.Type = ExternalAccount
	case ExternalAccount, ServiceAccount:
	default:
		return nil, notFound("unknown type of source %q; use %s or %s", source.Type, ExternalAccount, ServiceAccount)
	}
	file, err := m.File(ctx, w, source)
	if err != nil {
		return nil, err
	}
	return impersonatedServiceAccount{
		Type:           "impersonated_service_account",
		Impersonation:  impersonation(asked.URL, account),
		Delegates:      []string{},
		Source:         file,
		UniverseDomain: w.UniverseDomain,
	}, nil
}
