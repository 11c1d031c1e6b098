// Package reach decides how unmodified programs reach an emulator: which environment variables the
// commands exec and env set (environment.go) and remove (obstacles.go), which variables a proxy
// (proxy.go) or an emulator in place of Google's servers (takeover.go) needs, and which values the
// variables had before (before.go).
//
// The command line passes the variables to a child process or a shell. Package doctor knows how each
// program uses them.
package reach

import (
	"cmp"
	"net/url"
	"path"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/router/hostname"
)

// Target is an emulator that clients must find.
type Target struct {
	URL        *url.URL // http, with host and port
	ControlURL string   // of the control plane; empty: the same as URL
	TLSURL     string   // https, for programs that require it; empty: the emulator has none
	ProjectID  string

	UniverseDomain string // of the APIs; empty: Google's own

	Preset       func(name string) string // the caller's environment; nil: empty
	GcloudConfig string                   // a configuration directory for gcloud; empty: leave the caller's
	NoProxy      string                   // the caller's value of NO_PROXY
	Proxy        *Proxy                   // nil: programs find the emulator without a proxy

	// MetadataTLS is true if the files at MetadataRoots and MetadataClient lead to the emulator.
	// Clients may then ask for metadata over TLS.
	MetadataTLS bool
}

// Variable is an environment variable and its value.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Variables returns all variables for clients, grouped by client.
func (t Target) Variables() []Variable {
	base, hostport := t.base(), t.URL.Host
	variables := []Variable{
		// Libraries for Go, Java, .NET, Python, Node, Ruby and Rust read the first, gcloud and
		// C++ the second, and the detection in Python and Node the third. In Node the third
		// takes precedence over the first, so they must agree.
		{"GCE_METADATA_HOST", hostport},
		{"GCE_METADATA_ROOT", hostport},
		{"GCE_METADATA_IP", hostport},
		{"METADATA_SERVER_DETECTION", "assume-present"}, // Node: no probe of Google's address

		{"GOOGLE_CLOUD_PROJECT", t.ProjectID},
		{"GCLOUD_PROJECT", t.ProjectID}, // older Node libraries

		// gcloud finds its other servers only by these, and by the addresses of its APIs.
		{"CLOUDSDK_CORE_PROJECT", t.ProjectID},
		{"CLOUDSDK_CORE_CHECK_GCE_METADATA", "true"},
		{"CLOUDSDK_AUTH_AUTH_HOST", base + "/o/oauth2/auth"},
		{"CLOUDSDK_AUTH_TOKEN_HOST", base + "/token"},
		{"CLOUDSDK_AUTH_MTLS_TOKEN_HOST", base + "/token"},
		{"CLOUDSDK_AUTH_TOKEN_INTROSPECTION_ENDPOINT", base + "/v1/introspect"},

		// Node and Python send metadata requests to a proxy unless they are told not to.
		{"NO_PROXY", t.noProxy()},
		{"no_proxy", t.noProxy()},

		// gcloud and Python programs refuse to sign in at a server without TLS unless told otherwise.
		{"OAUTHLIB_INSECURE_TRANSPORT", "1"},
	}
	variables = slices.Concat(variables, t.played(), t.unplayed(), t.gcloud(), t.withoutCertificates(), t.universe(), t.own())
	if t.Proxy != nil {
		variables = append(variables, t.proxy().variables(base, t.URL.Hostname(), t.URL.Port(), t.noProxy())...)
	}
	return variables
}

// TLSVariable is the variable for the emulator's address with TLS.
const TLSVariable = "GCP_METADATA_EMULATOR_TLS_URL"

// own returns the variables by which the emulator's own commands, and scripts, find it.
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

// universe returns the variables that name a universe other than Google's own. A client refuses
// credentials of another universe than its own.
func (t Target) universe() []Variable {
	if t.UniverseDomain == "" || t.UniverseDomain == hostname.DefaultUniverse {
		return nil
	}
	return []Variable{
		{"GOOGLE_CLOUD_UNIVERSE_DOMAIN", t.UniverseDomain},
		{"CLOUDSDK_CORE_UNIVERSE_DOMAIN", t.UniverseDomain},
	}
}

func (t Target) base() string { return strings.TrimSuffix(t.URL.String(), "/") }

// The files by which a client recognises a metadata server with TLS, and authenticates itself
// there. The guest agent of a VM writes them
// (https://cloud.google.com/compute/docs/metadata/overview#https-mds-certificates).
const (
	metadataFolder = "/run/google-mds-mtls"
	MetadataRoots  = metadataFolder + "/root.crt"
	MetadataClient = metadataFolder + "/client.key" // the certificate and its key
)

// withoutCertificates returns the variables that keep clients from using client certificates on this
// machine. If the variables are not set, files decide: with the files of the guest agent, Python asks
// for metadata over TLS; with a configuration of client certificates, Go and Python call the mtls hosts
// of Google's APIs.
func (t Target) withoutCertificates() []Variable {
	variables := []Variable{{"GOOGLE_API_USE_CLIENT_CERTIFICATE", "false"}}
	if !t.MetadataTLS {
		variables = append(variables, Variable{"GCE_METADATA_MTLS_MODE", "none"})
	}
	return variables
}

// proxy returns the proxy for the target's universe.
func (t Target) proxy() *Proxy {
	own := *t.Proxy
	own.universe = t.UniverseDomain
	return &own
}

// noProxy returns the hosts that clients must contact without a proxy: the hosts of the caller's
// NO_PROXY, and the emulator, which answers faster this way. Unless the emulator is the proxy,
// Google's names are among them.
func (t Target) noProxy() string {
	hosts := strings.FieldsFunc(t.NoProxy, func(r rune) bool { return r == ',' || r == ' ' })
	direct := []string{t.URL.Hostname(), "127.0.0.1", "localhost"}
	if t.Proxy != nil {
		hosts = slices.DeleteFunc(hosts, t.leadsPast)
	} else {
		direct = append(direct, MetadataAddress, "metadata.google.internal")
	}
	if slices.Contains(hosts, "*") {
		return "*" // no proxy for any host; some clients accept "*" only without other entries
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

// ForService returns the variables that Cloud Run gives the container of a service
// (https://cloud.google.com/run/docs/container-contract#env-vars). If there is no upstream, the
// container has no port.
func ForService(name string, upstream *url.URL) []Variable {
	variables := []Variable{
		{"K_SERVICE", name},
		{"K_REVISION", name + "-00001-emu"},
		{"K_CONFIGURATION", name},
	}
	if upstream != nil {
		variables = append(variables, Variable{"PORT", cmp.Or(upstream.Port(), defaultPort(upstream.Scheme))})
	}
	return variables
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// ForCommand returns further variables for the runtime of a command. Ruby's library asks a metadata
// server only if it detects Google Cloud, and the variables of Cloud Run are the only sign of it that
// a process can be given. Other commands do not get them, because other libraries would draw further
// conclusions.
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
