// Package reach decides how unmodified programs reach an emulator: which environment variables the
// commands exec and env set (environment.go) and take away (obstacles.go), with a proxy (proxy.go) or
// in place of Google's servers (takeover.go), and what the variables were before (before.go).
//
// How a child process or a shell gets the variables is for the command line, and what each program
// makes of them is for package doctor.
package reach

import (
	"cmp"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Target is an emulator as clients are to find it.
type Target struct {
	URL          *url.URL // http, with host and port
	ControlURL   string   // of the control plane; empty: the same
	TLSURL       string   // https, for programs that insist on it; empty: there is none
	ProjectID    string
	GcloudConfig string // a configuration directory for gcloud; empty: leave the caller's
	NoProxy      string // what the caller's NO_PROXY already says
	Proxy        *Proxy // nil: programs find it by variables of their own alone
}

// Variable is an environment variable and its value.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Variables are all that clients read, in the order of the clients.
func (t Target) Variables() []Variable {
	base, hostport := t.base(), t.URL.Host
	variables := []Variable{
		// Go, Java, .NET, Python, Node, Ruby and Rust libraries read the first, gcloud and
		// C++ the second, and Python's and Node's detection the third. Node lets the third
		// win over the first, so that they must agree.
		{"GCE_METADATA_HOST", hostport},
		{"GCE_METADATA_ROOT", hostport},
		{"GCE_METADATA_IP", hostport},
		{"METADATA_SERVER_DETECTION", "assume-present"}, // Node: no probe of Google's address

		{"GOOGLE_CLOUD_PROJECT", t.ProjectID},
		{"GCLOUD_PROJECT", t.ProjectID}, // older Node libraries

		// gcloud knows its other servers by these alone; the final slashes are needed.
		{"CLOUDSDK_CORE_PROJECT", t.ProjectID},
		{"CLOUDSDK_CORE_CHECK_GCE_METADATA", "true"},
		{"CLOUDSDK_AUTH_AUTH_HOST", base + "/o/oauth2/auth"},
		{"CLOUDSDK_AUTH_TOKEN_HOST", base + "/token"},
		{"CLOUDSDK_AUTH_MTLS_TOKEN_HOST", base + "/token"},
		{"CLOUDSDK_AUTH_TOKEN_INTROSPECTION_ENDPOINT", base + "/v1/introspect"},
		{"CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", base + "/"},
		{"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", base + "/compute/v1/"},
		{"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM", base + "/"},
		{"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", base + "/"},

		// Node and Python send metadata requests to a proxy unless they are told not to.
		{"NO_PROXY", t.noProxy()},
		{"no_proxy", t.noProxy()},

		// gcloud and Python programs let nobody sign in at a server without TLS unless told to.
		{"OAUTHLIB_INSECURE_TRANSPORT", "1"},
	}
	variables = append(append(variables, t.gcloud()...), t.own()...)
	if t.Proxy != nil {
		variables = append(variables, t.Proxy.variables(base, t.URL.Hostname(), t.URL.Port(), t.noProxy())...)
	}
	return variables
}

// TLSVariable names the emulator's address with TLS.
const TLSVariable = "GCP_METADATA_EMULATOR_TLS_URL"

// own are the variables by which the emulator's own commands, and scripts, find it.
func (t Target) own() []Variable {
	variables := []Variable{
		{"GCP_METADATA_EMULATOR_URL", t.base()},
		{"GCP_METADATA_EMULATOR_CONTROL_URL", cmp.Or(t.ControlURL, t.base())},
	}
	if t.TLSURL != "" {
		variables = append(variables, Variable{TLSVariable, t.TLSURL})
	}
	return variables
}

func (t Target) base() string { return strings.TrimSuffix(t.URL.String(), "/") }

// gcloud are the variables by which gcloud asks nobody, neither a person nor other servers, and
// remembers nothing of another server.
func (t Target) gcloud() []Variable {
	variables := []Variable{
		{"CLOUDSDK_CORE_DISABLE_PROMPTS", "1"},
		{"CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true"},
		{"CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true"},
		{"CLOUDSDK_SURVEY_DISABLE_PROMPTS", "1"},
	}
	if t.GcloudConfig != "" {
		variables = append(variables, Variable{"CLOUDSDK_CONFIG", t.GcloudConfig})
	}
	return variables
}

// noProxy are the hosts that are kept from proxies: what the caller keeps, and the emulator,
// which answers faster without. Google's names are kept from another proxy, and led to ours.
func (t Target) noProxy() string {
	hosts := strings.FieldsFunc(t.NoProxy, func(r rune) bool { return r == ',' || r == ' ' })
	direct := []string{t.URL.Hostname(), "127.0.0.1", "localhost"}
	if t.Proxy != nil {
		hosts = slices.DeleteFunc(hosts, leadsPast)
	} else {
		direct = append(direct, MetadataAddress, "metadata.google.internal")
	}
	if slices.Contains(hosts, "*") {
		return "*" // no proxy at all, which some clients read only where it stands alone
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	for _, host := range direct {
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return strings.Join(hosts, ",")
}

// ForCommand are further variables for the runtime of a command. Ruby's library asks a
// metadata server only where it believes to be on Google Cloud, and Cloud Run's variables
// are the only sign that a process can be given; other libraries would take them for more
// than that.
func ForCommand(command string) []Variable {
	name := strings.TrimSuffix(path.Base(strings.ReplaceAll(command, `\`, "/")), ".exe")
	if !slices.Contains([]string{"ruby", "irb", "bundle", "rake", "rails", "rspec"}, name) {
		return nil
	}
	return []Variable{
		{"K_SERVICE", "emulator"},
		{"K_REVISION", "emulator-00001"},
		{"K_CONFIGURATION", "emulator"},
	}
}
