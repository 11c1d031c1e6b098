package oauth2

import (
	"fmt"
	"net/http"
	"net/url"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/world"
)

// choice holds the button that the user clicked on a page. The zero value means no click.
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

// checkOrigin refuses a form that a page of another origin submitted (CSRF).
func checkOrigin(r *http.Request) error {
	if http.NewCrossOriginProtection().Check(r) != nil {
		return foreign(oauthapi.Forbidden(oauthapi.AccessDenied), fmt.Sprintf("the form was sent by a web page of another origin, %q", r.Header.Get("Origin")))
	}
	return nil
}

// foreign returns an error for a request from a web page of another site.
func foreign(refusal *oauthapi.Error, why string) *oauthapi.Error {
	return refusal.BecauseOf(journal.Refusal{Code: reason.ForeignOrigin, Reason: why})
}

// user returns the user who grants the request. If no button was clicked, it is the user in the
// client's hint, or else the first user. Every error is an *oauthapi.Error.
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
