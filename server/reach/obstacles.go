package reach

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
)

// UserAccount is the type of a credential file that holds a user's refresh token
// (https://google.aip.dev/auth/4110).
const UserAccount = "authorized_user"

// Obstacles are variables that lead a client elsewhere, whatever else is set: to the
// caller's own credentials, or past the metadata server.
func Obstacles() []string {
	return append(credentialFiles(),
		"GOOGLE_PRIVATE_KEY", // Ruby: a key without a file
		"GOOGLE_CLIENT_EMAIL",
		"GOOGLE_ACCOUNT_TYPE",
		"GOOGLE_REFRESH_TOKEN",      // Ruby: a user, by the client that GOOGLE_CLIENT_ID names
		"GOOGLE_CLOUD_CREDENTIALS",  // Ruby's google-cloud
		"GOOGLE_CLOUD_KEYFILE",      // the same
		"GCLOUD_KEYFILE",            // the same
		"GOOGLE_CREDENTIALS",        // Terraform
		"GOOGLE_CLOUD_KEYFILE_JSON", // Terraform and Ruby's google-cloud
		"GCLOUD_KEYFILE_JSON",       // the same
		"GOOGLE_OAUTH_ACCESS_TOKEN", // Terraform
		"GOOGLE_IMPERSONATE_SERVICE_ACCOUNT",
		"BOTO_CONFIG", // gsutil
		"BOTO_PATH",
		"CLOUDSDK_AUTH_ACCESS_TOKEN",
		"CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
		"CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
		"CLOUDSDK_AUTH_DISABLE_CREDENTIALS",
		"CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT",
		"CLOUDSDK_CORE_ACCOUNT",
		"CLOUDSDK_CORE_UNIVERSE_DOMAIN",
		"GOOGLE_CLOUD_UNIVERSE_DOMAIN",
		"CLOUDSDK_ACTIVE_CONFIG_NAME",
		"CLOUDSDK_CONTEXT_AWARE_USE_CLIENT_CERTIFICATE",
		"CLOUDSDK_PROXY_TYPE", // a proxy of gcloud's own, for which NO_PROXY means nothing
		"CLOUDSDK_PROXY_ADDRESS",
		"CLOUDSDK_PROXY_PORT",
		"CLOUDSDK_PROXY_USERNAME",
		"CLOUDSDK_PROXY_PASSWORD",
		"DEVSHELL_CLIENT_PORT",
		"NO_GCE_CHECK",
		"GCE_METADATA_MTLS_MODE",
		"GOOGLE_API_CERTIFICATE_CONFIG", // for whose files Python waits half a minute
		"GOOGLE_API_USE_CLIENT_CERTIFICATE",
		"GOOGLE_API_USE_MTLS_ENDPOINT",
		"EXPERIMENTAL_GOOGLE_API_USE_S2A",
	)
}

// credentialFiles are the variables that name a credential file; only Node reads the second.
func credentialFiles() []string {
	return []string{"GOOGLE_APPLICATION_CREDENTIALS", "google_application_credentials"}
}

// IsObstacle tells whether a variable with that value leads a client elsewhere, as the
// obstacles do. A credential file that leads to the target alone does not.
func (t Target) IsObstacle(name, value string, obstacles []string) bool {
	if slices.Contains(credentialFiles(), name) && t.isLedToBy(value) {
		return false
	}
	return slices.Contains(obstacles, name)
}

// isLedToBy tells whether a credential file leads to the target and nowhere else: it names a server,
// and every URL in it is the target's. A user's does not: most libraries do not look at its token_uri.
// An emulator at another address is another one, which may be gone.
func (t Target) isLedToBy(file string) bool {
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	var credential map[string]any
	if json.Unmarshal(data, &credential) != nil || credential["type"] == UserAccount {
		return false
	}
	hosts := hostsIn(credential)
	return len(hosts) > 0 && !slices.ContainsFunc(hosts, func(host string) bool { return host != t.URL.Host })
}

// hostsIn are the hosts of the URLs in a JSON value, with their ports.
func hostsIn(value any) []string {
	var hosts []string
	switch value := value.(type) {
	case string:
		if parsed, err := url.Parse(value); err == nil && parsed.Scheme != "" && parsed.Host != "" {
			hosts = append(hosts, parsed.Host)
		}
	case []any:
		for _, element := range value {
			hosts = append(hosts, hostsIn(element)...)
		}
	case map[string]any:
		if value["type"] == UserAccount { // the source of an impersonation
			hosts = append(hosts, "oauth2.googleapis.com")
		}
		for _, member := range value {
			hosts = append(hosts, hostsIn(member)...)
		}
	}
	return hosts
}

// UserFile is a credential file that some libraries read before they look for a metadata server,
// and that no variable keeps them from.
type UserFile struct {
	Path    string
	Readers string // for people
}

// UserFiles are those that there are.
func UserFiles() []UserFile {
	const name = "application_default_credentials.json"
	files := []UserFile{{filepath.Join("/etc/google/auth", name), "libraries for Ruby"}}
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, UserFile{
			filepath.Join(home, ".config", "gcloud", name),
			"libraries for Go, Ruby, PHP, .NET, C++ and Rust, and older ones for Node,",
		})
	}
	return slices.DeleteFunc(files, func(file UserFile) bool {
		_, err := os.Stat(file.Path)
		return err != nil
	})
}
