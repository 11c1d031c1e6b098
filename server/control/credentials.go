package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// keyFile is a service account key file, in the order of Google's. Its URLs are those of
// the emulator under the name by which the client reached it.
type keyFile struct {
	Type                string `json:"type"`
	ProjectID           string `json:"project_id"`
	PrivateKeyID        string `json:"private_key_id"`
	PrivateKey          string `json:"private_key"`
	ClientEmail         string `json:"client_email"`
	ClientID            string `json:"client_id"`
	AuthURI             string `json:"auth_uri"`
	TokenURI            string `json:"token_uri"`
	ProviderCertificate string `json:"auth_provider_x509_cert_url"`
	ClientCertificate   string `json:"client_x509_cert_url"`
	UniverseDomain      string `json:"universe_domain"`
}

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

func (s *Server) keyFile(ctx context.Context, w *world.World, account *world.ServiceAccount, base string) (keyFile, error) {
	key, err := s.keys.User(account.Email, account.UniqueID).Active(ctx)
	if err != nil {
		return keyFile{}, err
	}
	private, err := key.PrivateKey()
	if err != nil {
		return keyFile{}, err
	}
	return keyFile{
		Type:                "service_account",
		ProjectID:           w.Project.ID,
		PrivateKeyID:        key.ID(),
		PrivateKey:          private,
		ClientEmail:         account.Email,
		ClientID:            account.UniqueID,
		AuthURI:             base + "/o/oauth2/auth",
		TokenURI:            base + "/token",
		ProviderCertificate: base + "/oauth2/v1/certs",
		ClientCertificate:   base + "/robot/v1/metadata/x509/" + url.QueryEscape(account.Email),
		UniverseDomain:      w.UniverseDomain,
	}, nil
}
