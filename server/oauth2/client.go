package oauth2

import (
	"net/http"
	"net/url"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/world"
)

// Error texts of Google's server.
const (
	noClient      = "Could not determine client ID from request."
	unknownClient = "The OAuth client was not found."
	noSecret      = "client_secret is missing."
	unauthorized  = "Unauthorized"
)

// authenticate returns the client of a token request. The client identifies itself in the body or
// with HTTP Basic authentication (RFC 6749, section 2.3.1).
func authenticate(w *world.World, r *http.Request, form url.Values) (*world.OAuthClient, error) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		id, secret = formDecoded(user), formDecoded(password)
	}
	client, err := findClient(w, id)
	switch {
	case err != nil:
		return nil, err
	case secret == "" && client.Secret != "":
		return nil, oauthapi.NewError(oauthapi.InvalidRequest, noSecret)
	case !client.Accepts(secret):
		return nil, oauthapi.Unauthorized(oauthapi.InvalidClient, unauthorized).Because("client %q has another secret than the request", client.ID)
	default:
		return client, nil
	}
}

func findClient(w *world.World, id string) (*world.OAuthClient, error) {
	if id == "" {
		return nil, oauthapi.NewError(oauthapi.InvalidRequest, noClient)
	}
	client, ok := w.OAuthClient(id)
	if !ok {
		return nil, oauthapi.Unauthorized(oauthapi.InvalidClient, unknownClient).Because("the fixture has no OAuth client %q", id)
	}
	return client, nil
}

// formDecoded undoes the form encoding of a user name or password in HTTP Basic authentication.
// RFC 6749 requires the encoding, but some clients omit it.
func formDecoded(text string) string {
	if decoded, err := url.QueryUnescape(text); err == nil {
		return decoded
	}
	return text
}
