package control

import (
	"context"
	"fmt"
	"net/http"

	"gcp-metadata-emulator/server/accountkeys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Credentials answers with a credential file that works against this emulator.
func (s *Server) Credentials(r *http.Request) (wire.Response, error) {
	switch kind := r.PathValue("type"); kind {
	case "service-account":
		return s.serviceAccountKey(r)
	default:
		return wire.Response{}, googleapi.NotFound(fmt.Sprintf(
			"there are no credentials of type %q; there are: service-account", kind))
	}
}

func (s *Server) serviceAccountKey(r *http.Request) (wire.Response, error) {
	current := s.worlds.Load().State
	account, err := chosenAccount(current, r.URL.Query().Get("account"))
	if err != nil {
		return wire.Response{}, err
	}
	file, err := s.keyFile(r.Context(), current, account, wire.BaseURL(r))
	if err != nil {
		return wire.Response{}, fmt.Errorf("make a key file for %q: %w", account.Email, err)
	}
	response := googleapi.JSON(file)
	response.Header = []wire.Field{{Name: "Cache-Control", Value: "no-store"}}
	return response, nil
}

// chosenAccount is the account that a request names, or the one that the default instance
// runs as.
func chosenAccount(w *world.World, id string) (*world.ServiceAccount, error) {
	if id == "" {
		attached := w.DefaultInstance().ServiceAccounts
		if len(attached) == 0 {
			return nil, googleapi.InvalidArgument("the default instance has no service account; name one with account=EMAIL")
		}
		return attached[0].Account, nil
	}
	account, ok := w.Account(id)
	if !ok {
		return nil, googleapi.NotFound(fmt.Sprintf("there is no service account %q", id))
	}
	return account, nil
}

// keyFile is a key file of an account. Its URLs are those of the emulator under the name by
// which the client reached it.
func (s *Server) keyFile(ctx context.Context, w *world.World, account *world.ServiceAccount, base string) (accountkeys.File, error) {
	key, err := accountkeys.Signing(ctx, s.keys, account)
	if err != nil {
		return accountkeys.File{}, err
	}
	return accountkeys.NewFile(w, account, key, base)
}
