package credentials

import (
	"net/url"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/world"
)

// KeyFile is a service account key file. Its members are in the order of Google's files.
type KeyFile struct {
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

// NewKeyFile returns a key file of an account. The URLs in the file begin with base, the URL by which
// the client reaches the emulator.
func NewKeyFile(w *world.World, account *world.ServiceAccount, key *keys.Key, base string) (KeyFile, error) {
	private, err := key.PrivateKey()
	if err != nil {
		return KeyFile{}, err
	}
	return KeyFile{
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
