package accountkeys

import (
	"net/url"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/world"
)

// File is a service account key file, in the order of Google's.
type File struct {
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

// NewFile is a key file of an account. Its URLs begin with a base, by which the client
// reaches the emulator.
func NewFile(w *world.World, account *world.ServiceAccount, key *keys.Key, base string) (File, error) {
	private, err := key.PrivateKey()
	if err != nil {
		return File{}, err
	}
	return File{
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
