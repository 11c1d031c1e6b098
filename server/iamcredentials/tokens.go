package iamcredentials

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

type accessTokenResponse struct {
	AccessToken string `json:"accessToken"`
	ExpireTime  string `json:"expireTime"` // RFC 3339 in whole seconds: some clients read no others
}

// GenerateAccessToken issues an access token for a service account.
func (s *Server) GenerateAccessToken(r *http.Request) (wire.Response, error) {
	account, err := s.authorised(r, "GenerateAccessToken")
	if err != nil {
		return wire.Response{}, err
	}
	message, err := s.read(r, "scope", "lifetime", "type")
	if err != nil {
		return wire.Response{}, err
	}
	scopes, err := scopes(message)
	if err != nil {
		return wire.Response{}, err
	}
	lifetime, err := lifetime(message, account)
	if err != nil {
		return wire.Response{}, err
	}
	issued, err := s.issuer.Access(r.Context(), token.ForAccount(account, scopes), lifetime)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an access token for %q: %w", account.Email, err)
	}
	return googleapi.JSON(accessTokenResponse{
		AccessToken: issued.Text,
		ExpireTime:  issued.Expires.UTC().Format(time.RFC3339),
	}), nil
}

// scopes are those of the request. One empty scope stands for cloud-platform.
func scopes(message googleapi.Message) ([]string, error) {
	scopes, err := message.Texts("scope")
	if err != nil {
		return nil, err
	}
	if slices.Equal(scopes, []string{""}) {
		return []string{oauth2.CloudPlatformScope}, nil
	}
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(scope string) bool { return !oauth2.IsScope(scope) }) {
		return nil, invalidArgument()
	}
	return scopes, nil
}

// lifetime is that of the request: an hour where it names none, and longer only where the
// account allows it.
func lifetime(message googleapi.Message, account *world.ServiceAccount) (time.Duration, error) {
	if !message.Has("lifetime") {
		return world.DefaultTokenLifetime, nil
	}
	lifetime, err := message.Duration("lifetime")
	switch {
	case err != nil:
		return 0, err
	case lifetime < time.Second:
		return 0, googleapi.InvalidArgument("Lifetime of access token must be larger then zero.")
	case lifetime <= account.MaxTokenLifetime:
		return lifetime, nil
	case account.MaxTokenLifetime > world.DefaultTokenLifetime:
		return 0, googleapi.InvalidArgument(fmt.Sprintf(
			"Service account access tokens can not have lifetimes of more than %g hours.", account.MaxTokenLifetime.Hours()))
	default:
		return 0, googleapi.InvalidArgument("Service account access tokens can not have lifetimes of more than 1 hour. " +
			"Use the Org Policy Constraint constraints/iam.allowServiceAccountCredentialLifetimeExtension to allow up to 12 hours.")
	}
}

type idTokenResponse struct {
	Token string `json:"token"`
}

// idTokenRequest is the message of GenerateIdToken.
type idTokenRequest struct {
	audience             string
	includeEmail         bool
	includeOrganization  bool
	emailAsAuthorizedFor bool
}

func readIDTokenRequest(message googleapi.Message) (request idTokenRequest, err error) {
	if request.audience, err = message.Text("audience"); err != nil {
		return request, err
	}
	if request.includeEmail, err = message.Bool("include_email"); err != nil {
		return request, err
	}
	if request.includeOrganization, err = message.Bool("organization_number_included"); err != nil {
		return request, err
	}
	// Undocumented, and sent by Google's Python, Node and PHP libraries.
	if request.emailAsAuthorizedFor, err = message.Bool("use_email_azp"); err != nil {
		return request, err
	}
	if request.audience == "" {
		return request, invalidArgument()
	}
	return request, nil
}

// GenerateIDToken issues an ID token for a service account.
func (s *Server) GenerateIDToken(r *http.Request) (wire.Response, error) {
	account, err := s.authorised(r, "GenerateIdToken")
	if err != nil {
		return wire.Response{}, err
	}
	message, err := s.read(r, "audience", "include_email", "organization_number_included", "use_email_azp")
	if err != nil {
		return wire.Response{}, err
	}
	request, err := readIDTokenRequest(message)
	if err != nil {
		return wire.Response{}, err
	}
	claims := token.Claims{Audience: request.audience, AuthorizedParty: account.UniqueID, Subject: account.UniqueID}
	if request.includeEmail {
		claims.Email = account.Email
	}
	if request.emailAsAuthorizedFor {
		claims.AuthorizedParty = account.Email
	}
	claims.Google.Organization = token.NoOrganization(request.includeOrganization)
	issued, err := s.issuer.ID(r.Context(), claims)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an ID token for %q: %w", account.Email, err)
	}
	return googleapi.JSON(idTokenResponse{Token: issued.Text}), nil
}
