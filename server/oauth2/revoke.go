package oauth2

import (
	"cmp"
	"errors"
	"net/http"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

const nothingToRevoke = "Token expired or revoked"

// Revoke handles the revocation of an access token or refresh token (RFC 7009;
// https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke). It also
// revokes the other tokens of the same consent. The token is in the query or in the body. Unlike
// RFC 7009, section 2.2, Google's server answers with an error if it does not know the token.
func (s *Server) Revoke(r *http.Request) (wire.Response, error) {
	form, err := oauthapi.ReadForm(r)
	if err != nil {
		return wire.Response{}, err
	}
	text := cmp.Or(oauthapi.ReadQuery(r).Get("token"), form.Get("token"))
	if text == "" {
		return wire.Response{}, oauthapi.Missing("token")
	}
	err = s.issuer.Revoke(r.Context(), text)
	switch {
	case errors.Is(err, token.ErrUnknown), errors.Is(err, token.ErrExpired), errors.Is(err, token.ErrRevoked):
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidToken, nothingToRevoke)
	case err != nil:
		return wire.Response{}, err
	default:
		return oauthapi.JSON(struct{}{}), nil
	}
}
