package reach

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"gcp-metadata-emulator/fixtures/input"
)

// UserAccount is the type of a credential file that holds a user's refresh token
// (https://google.aip.dev/auth/4110).
const UserAccount = "authorized_user"

// Obstacles returns the variables that always lead a client elsewhere: to the caller's own
// credentials, or past the metadata server.
func Obstacles() []string {
	return append(credentialFiles(),
		"GOOGLE_PRIVATE_KEY", // Ruby: a key without a file
		"GOOGLE_CLIENT_EMAIL",
		"GOOGLE_ACCOUNT_TYPE",
		"GOOGLE_REFRESH_TOKEN",      // Ruby: a user, with the client of GOOGLE_CLIENT_ID
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
		"CLOUDSDK_PROXY_TYPE", // gcloud's own proxy, which ignores NO_PROXY
		"CLOUDSDK_PROXY_ADDRESS",
		"CLOUDSDK_PROXY_PORT",
		"CLOUDSDK_PROXY_USERNAME",
		"CLOUDSDK_PROXY_PASSWORD",
		"DEVSHELL_CLIENT_PORT",
		"NO_GCE_CHECK",
		"GOOGLE_API_CERTIFICATE_CONFIG", // Python waits half a minute for its files
		"GOOGLE_API_USE_MTLS_ENDPOINT",
		"EXPERIMENTAL_GOOGLE_API_USE_S2A",
	)
}

// Obstacles returns the obstacles on the way to the target: all but the variables that lead to its
// universe.
func (t Target) Obstacles() []string {
	return slices.DeleteFunc(Obstacles(), func(name string) bool {
		return slices.ContainsFunc(t.universe(), func(v Variable) bool { return v.Name == name })
	})
}

// credentialFiles returns the variables that name a credential file. Only Node reads the second.
func credentialFiles() []string {
	return []string{"GOOGLE_APPLICATION_CREDENTIALS", "google_application_credentials"}
}

// IsObstacle reports whether a variable with this value is one of the obstacles. If a credential
// file leads only to the target, it is not an obstacle.
func (t Target) IsObstacle(name, value string, obstacles []string) bool {
	if slices.Contains(credentialFiles(), name) && t.isLedToBy(value) {
		return false
	}
	return slices.Contains(obstacles, name)
}

// isLedToBy reports whether a credential file leads to the target and nowhere else: it names a server,
// and every URL in it has the target's host and port. The file of a user never does, because most
// libraries ignore its token_uri. Nor does the file of an emulator at another address, which may have
// ended.
func (t Target) isLedToBy(file string) bool {
	data, err := input.ReadFile(file)
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

// hostsIn returns the hosts of the URLs in a JSON value, with their ports.
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

// UserFile is a credential file that some libraries read before they look for a metadata server. No
// variable prevents this.
type UserFile struct {
	Path    string
	Readers string // a description of the libraries, for messages
}

// UserFiles returns the files that exist.
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
