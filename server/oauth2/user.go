package oauth2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Error texts of Google's server.
const (
	tokenRevoked   = "Token has been expired or revoked."
	accountDeleted = "Account has been deleted"
)

// refreshToken exchanges a refresh token (RFC 6749, section 6) for an access token with all or
// some of its scopes. The refresh token stays valid, and no new one is issued.
func (s *Server) refreshToken(r *http.Request, form url.Values) (wire.Response, error) {
	current := s.worlds.Load().State
	client, err := authenticate(current, r, form)
	if err != nil {
		return wire.Response{}, err
	}
	refresh, err := s.recogniseRefresh(form.Get("refresh_token"))
	if err != nil {
		return wire.Response{}, err
	}
	if refresh.Client != "" && refresh.Client != client.ID {
		return wire.Response{}, oauthapi.Unauthorized(oauthapi.UnauthorizedClient, unauthorized).
			Because("the refresh token was issued to client %q, and client %q uses it", refresh.Client, client.ID)
	}
	granted := refresh.Grant
	granted.Client, granted.Offline = client.ID, true
	if granted.Scopes, err = narrowed(granted.Scopes, form.Get("scope")); err != nil {
		return wire.Response{}, err
	}
	issued, err := s.issue(r.Context(), current, granted, token.Claims{Audience: form.Get("target_audience")})
	if err != nil {
		return wire.Response{}, err
	}
	return issued.response(), nil
}

func (s *Server) recogniseRefresh(text string) (token.Refresh, error) {
	if text == "" {
		return token.Refresh{}, oauthapi.Missing("refresh_token")
	}
	refresh, err := s.issuer.RecogniseRefresh(text)
	switch {
	case errors.Is(err, token.ErrRevoked):
		return token.Refresh{}, oauthapi.NewError(oauthapi.InvalidGrant, tokenRevoked)
	case errors.Is(err, token.ErrUnknown), err == nil && refresh.Principal.Kind != iam.KindUser:
		return token.Refresh{}, oauthapi.NewError(oauthapi.InvalidGrant, badRequest).
			Because("the refresh token was not issued by this emulator, or was changed afterwards")
	default:
		return refresh, err
	}
}

// narrowed returns the scopes named in scope, each of which must have been granted. It returns
// all granted scopes if scope is empty.
func narrowed(granted []string, scope string) ([]string, error) {
	if scope == "" {
		return granted, nil
	}
	wanted := iam.CanonicalScopes(strings.Fields(scope))
	if !iam.CoverScopes(granted, wanted) {
		return nil, oauthapi.NewError(oauthapi.InvalidScope, badRequest).
			Because("the scopes %q are asked for, and the user has granted %q", wanted, granted)
	}
	return wanted, nil
}

// issueFirst answers with the first tokens of a user's grant, including a refresh token if the
// grant is for offline access.
func (s *Server) issueFirst(ctx context.Context, w *world.World, granted token.Grant, claims token.Claims) (wire.Response, error) {
	issued, err := s.issue(ctx, w, granted, claims)
	if err != nil {
		return wire.Response{}, err
	}
	if granted.Offline {
		if issued.RefreshToken, err = s.issuer.Refresh(granted); err != nil {
			return wire.Response{}, fmt.Errorf("issue a refresh token for %q: %w", granted.Principal.Email, err)
		}
	}
	return issued.response(), nil
}

// issue issues an access token for a user's grant. It adds an ID token if the scopes include
// openid or claims names an audience; the scopes decide which claims about the user it has.
func (s *Server) issue(ctx context.Context, w *world.World, granted token.Grant, claims token.Claims) (tokens, error) {
	user, ok := w.User(granted.Principal.ID)
	if !ok {
		return tokens{}, oauthapi.NewError(oauthapi.InvalidGrant, accountDeleted).
			Because("user %q does not exist in the fixture", granted.Principal.Email)
	}
	access, err := s.issuer.Access(ctx, granted, world.DefaultTokenLifetime)
	if err != nil {
		return tokens{}, fmt.Errorf("issue an access token for %q: %w", user.Email, err)
	}
	issued := tokens{
		AccessToken: access.Text, ExpiresIn: expiresIn, Scope: strings.Join(granted.Scopes, " "), TokenType: oauthapi.TokenTypeBearer,
		defective: access.IsDefective(),
	}
	if claims.Audience == "" && !slices.Contains(granted.Scopes, oauthapi.OpenIDScope) {
		return issued, nil
	}
	id, err := s.issuer.ID(ctx, userClaims(user, granted, claims, access.Text))
	if err != nil {
		return tokens{}, fmt.Errorf("issue an ID token for %q: %w", user.Email, err)
	}
	issued.IDToken, issued.defective = id.Text, issued.defective || id.IsDefective()
	return issued, nil
}

// userClaims completes the claims of a user's ID token. The default audience is the client.
func userClaims(user *world.User, granted token.Grant, claims token.Claims, accessToken string) token.Claims {
	claims.AuthorizedParty, claims.Subject = granted.Client, user.UniqueID
	if claims.Audience == "" {
		claims.Audience = granted.Client
	}
	claims.AccessTokenHash = token.AccessTokenHash(accessToken)
	if oauthapi.TellEmail(granted.Scopes) {
		claims.Email = user.Email
	}
	if oauthapi.TellProfile(granted.Scopes) {
		claims.Name = user.Name
		claims.GivenName, claims.FamilyName = user.Names()
	}
	return claims
}
