package grants

import (
	"cmp"
	"errors"
	"net/http"

	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

const nothingToRevoke = "Token expired or revoked"

// Revoke takes back an access token or a refresh token, and with it what the same user has
// granted at the same time (RFC 7009; https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke).
// The token is in the query or in the body. Unlike RFC 7009, Google's server tells of one
// that it does not know.
func (s *Server) Revoke(r *http.Request) (wire.Response, error) {
	form, err := oauth2.ReadForm(r)
	if err != nil {
		return wire.Response{}, err
	}
	text := cmp.Or(r.URL.Query().Get("token"), form.Get("token"))
	if text == "" {
		return wire.Response{}, oauth2.Missing("token")
	}
	err = s.issuer.Revoke(text)
	switch {
	case errors.Is(err, token.ErrUnknown), errors.Is(err, token.ErrExpired), errors.Is(err, token.ErrRevoked):
		return wire.Response{}, oauth2.NewError(oauth2.InvalidToken, nothingToRevoke)
	case err != nil:
		return wire.Response{}, err
	default:
		return oauth2.JSON(struct{}{}), nil
	}
}
