package oauth2

import (
	"net/http"
	"net/url"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/world"
)

// choice is what was clicked on a page. The zero value is nothing.
type choice struct {
	name   string // the user's e-mail address
	denied bool
}

// The names of the pages' buttons.
const (
	userButton = "user"
	denyButton = "deny"
)

func isChoice(name string) bool { return name == userButton || name == denyButton }

func readChoice(form url.Values) choice {
	return choice{name: form.Get(userButton), denied: form.Has(denyButton)}
}

// checkOrigin refuses what the page of another server posts in its visitor's name.
func checkOrigin(r *http.Request) error {
	if http.NewCrossOriginProtection().Check(r) != nil {
		return oauthapi.Forbidden(oauthapi.AccessDenied)
	}
	return nil
}

// user is who grants what is asked. Where nothing was clicked, because nobody could be asked,
// it is the one that the client has named, the only one, or the first. Every error is an
// oauthapi.Error.
func (c choice) user(w *world.World, wanted authorization) (*world.User, error) {
	name := c.name
	if name == "" {
		name = wanted.hint
	}
	switch {
	case c.denied:
		return nil, oauthapi.NewError(oauthapi.AccessDenied, "The user denied access.")
	case name != "":
		if user, ok := w.User(name); ok {
			return user, nil
		}
		return nil, oauthapi.NewError(oauthapi.AccessDenied, "There is no user "+name+".")
	case len(w.Users) == 0:
		return nil, oauthapi.NewError(oauthapi.AccessDenied, "There are no users.")
	case len(w.Users) > 1 && wanted.silent:
		return nil, oauthapi.NewError(oauthapi.InteractionRequired, "There are several users; name one with login_hint.")
	default:
		return w.Users[0], nil
	}
}
