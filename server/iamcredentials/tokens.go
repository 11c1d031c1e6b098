package iamcredentials

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
)

// accessTokenRequest is the message of GenerateAccessToken.
type accessTokenRequest struct {
	delegates   []string
	scopes      []string
	hasLifetime bool
	lifetime    time.Duration
}

// generateAccessToken issues an access token for a service account.
func (s *Server) generateAccessToken(ctx context.Context, c call, request accessTokenRequest) (token.Token, error) {
	if err := s.permit(c, request.delegates, iam.GetAccessToken); err != nil {
		return token.Token{}, err
	}
	scopes, err := request.grantedScopes()
	if err != nil {
		return token.Token{}, err
	}
	lifetime, err := request.grantedLifetime(c.account)
	if err != nil {
		return token.Token{}, err
	}
	issued, err := s.issuer.Access(ctx, token.ForAccount(c.account, scopes), lifetime)
	if err != nil {
		return token.Token{}, fmt.Errorf("issue an access token for %q: %w", c.account.Email, err)
	}
	return issued, nil
}

// grantedScopes returns the requested scopes. A single empty scope means cloud-platform.
func (r accessTokenRequest) grantedScopes() ([]string, error) {
	if slices.Equal(r.scopes, []string{""}) {
		return []string{iam.CloudPlatform}, nil
	}
	if len(r.scopes) == 0 || slices.ContainsFunc(r.scopes, func(scope string) bool { return !oauthapi.IsScope(scope) }) {
		return nil, invalidArgument()
	}
	return r.scopes, nil
}

// grantedLifetime returns the requested lifetime, or an hour if the request has none. If the
// lifetime is above an hour, the account must allow it.
func (r accessTokenRequest) grantedLifetime(account *world.ServiceAccount) (time.Duration, error) {
	switch {
	case !r.hasLifetime:
		return world.DefaultTokenLifetime, nil
	case r.lifetime < time.Second:
		return 0, googleapi.InvalidArgument("Lifetime of access token must be larger then zero.")
	case r.lifetime <= account.MaxTokenLifetime:
		return r.lifetime, nil
	case account.MaxTokenLifetime > world.DefaultTokenLifetime:
		return 0, googleapi.InvalidArgument(fmt.Sprintf(
			"Service account access tokens can not have lifetimes of more than %g hours.", account.MaxTokenLifetime.Hours()))
	default:
		return 0, googleapi.InvalidArgument("Service account access tokens can not have lifetimes of more than 1 hour. " +
			"Use the Org Policy Constraint constraints/iam.allowServiceAccountCredentialLifetimeExtension to allow up to 12 hours.")
	}
}

// idTokenRequest is the message of GenerateIdToken.
type idTokenRequest struct {
	delegates           []string
	audience            string
	includeEmail        bool
	includeOrganization bool
	emailAsParty        bool // undocumented; Google's Python, Node and PHP libraries send it
}

// generateIDToken issues an ID token for a service account.
func (s *Server) generateIDToken(ctx context.Context, c call, request idTokenRequest) (token.Token, error) {
	if err := s.permit(c, request.delegates, iam.GetOpenIDToken); err != nil {
		return token.Token{}, err
	}
	if request.audience == "" {
		return token.Token{}, invalidArgument()
	}
	claims := token.Claims{Audience: request.audience, AuthorizedParty: c.account.UniqueID, Subject: c.account.UniqueID}
	if request.includeEmail {
		claims.Email = c.account.Email
	}
	if request.emailAsParty {
		claims.AuthorizedParty = c.account.Email
	}
	claims.Google.Organization = token.NoOrganization(request.includeOrganization)
	issued, err := s.issuer.ID(ctx, claims)
	if err != nil {
		return token.Token{}, fmt.Errorf("issue an ID token for %q: %w", c.account.Email, err)
	}
	return issued, nil
}
