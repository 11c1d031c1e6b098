package reach

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/reach/javaoptions"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/trust"
)

// Proxy makes programs reach the emulator under hosts that they have compiled in: the emulator is
// their proxy, and they trust its certificate authority.
type Proxy struct {
	Trust  trust.Files
	Preset func(name string) string // the caller's environment

	universe string // the domain of the APIs; empty: Google's own
}

// CertificateFiles returns the variables that name a file of roots in PEM. Each takes precedence in
// some program; most programs read the first.
func CertificateFiles() []string {
	return []string{
		"SSL_CERT_FILE",                      // OpenSSL: Ruby, Python, PHP; Go, .NET, Rust
		"NIX_SSL_CERT_FILE",                  // the same, as Nix builds them
		"REQUESTS_CA_BUNDLE",                 // Python's requests, gcloud
		"CURL_CA_BUNDLE",                     // curl, and requests
		"HTTPLIB2_CA_CERTS",                  // gsutil, bq
		"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", // gcloud
		"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",   // gRPC for Node and C, which Python, Ruby and PHP use
		"GIT_SSL_CAINFO",                     // git
		nodeCertificates,
	}
}

// nodeCertificates is the variable for a file of roots in addition to Node's own roots.
const nodeCertificates = "NODE_EXTRA_CA_CERTS"

// variables returns the variables for a proxy at a base URL, which is not used for the hosts in noProxy.
func (p *Proxy) variables(base, host, port, noProxy string) []Variable {
	variables := []Variable{
		// Most programs read either spelling of the first four; gRPC prefers the fifth.
		{"HTTP_PROXY", base},
		{"http_proxy", base},
		{"HTTPS_PROXY", base},
		{"https_proxy", base},
		{"grpc_proxy", base},
		{"ALL_PROXY", base},
		{"all_proxy", base},
		{"no_grpc_proxy", noProxy},
		{"NODE_USE_ENV_PROXY", "1"}, // for fetch, which is built into Node
	}
	return append(variables, p.trusting(
		"-Dhttp.proxyHost="+host, "-Dhttp.proxyPort="+port,
		"-Dhttps.proxyHost="+host, "-Dhttps.proxyPort="+port,
	)...)
}

// trusting returns the variables that make programs trust the authority. The variables of Java also
// pass on further properties.
func (p *Proxy) trusting(properties ...string) []Variable {
	var variables []Variable
	for _, name := range CertificateFiles() {
		file := p.Trust.Bundle
		if name == nodeCertificates && p.Preset(name) == "" {
			file = p.Trust.Authority // the small file, because every process reads it at its start
		}
		variables = append(variables, Variable{name, file})
	}
	variables = append(variables, Variable{"PHP_INI_SCAN_DIR", p.Preset("PHP_INI_SCAN_DIR") + string(os.PathListSeparator) + p.Trust.PHP})
	return append(variables, p.java(append(properties,
		"-Djavax.net.ssl.trustStore="+p.Trust.TrustStore,
		"-Djavax.net.ssl.trustStorePassword="+trust.Password,
		"-Djavax.net.ssl.trustStoreType=PKCS12",
	))...)
}

// java returns the variables that pass properties to a Java virtual machine. They replace preset
// properties of the same name and keep all others. From the preset list of hosts without a proxy,
// they remove Google's.
func (p *Proxy) java(properties []string) []Variable {
	var variables []Variable
	for _, name := range javaoptions.Variables() {
		preset := javaoptions.Split(p.Preset(name))
		if len(preset) == 0 && len(variables) > 0 {
			continue
		}
		options := slices.DeleteFunc(slices.Clone(preset), func(option string) bool {
			return javaoptions.IsProperty(option, javaoptions.NonProxyHosts) || slices.ContainsFunc(properties, func(property string) bool {
				ours, _, _ := strings.Cut(property, "=")
				return javaoptions.IsProperty(option, ours)
			})
		})
		options = append(options, properties...)
		if hosts := p.keptFromJavasProxy(preset); hosts != "" {
			options = append(options, javaoptions.NonProxyHosts+"="+hosts)
		}
		for i, option := range options {
			options[i] = javaoptions.Quote(option)
		}
		variables = append(variables, Variable{name, strings.Join(options, " ")})
	}
	return variables
}

// keptFromJavasProxy returns the preset hosts without a proxy, except Google's hosts.
func (p *Proxy) keptFromJavasProxy(options []string) string {
	googles := append(hostname.DomainsOf(p.universe), MetadataAddress)
	for _, line := range HostsLines(UniverseHosts(p.universe)...) {
		googles = append(googles, line.Names...)
	}
	preset, _ := javaoptions.Property(options, javaoptions.NonProxyHosts)
	return strings.Join(slices.DeleteFunc(strings.Split(preset, "|"), func(pattern string) bool {
		return slices.ContainsFunc(googles, func(host string) bool { return javaoptions.MatchesHost(host, pattern) })
	}), "|")
}

// leadsPast reports whether an entry of NO_PROXY matches a name of Google or of the target's universe, so
// that clients would not use the proxy for it.
func (t Target) leadsPast(entry string) bool {
	if network, err := netip.ParsePrefix(entry); err == nil {
		return network.Contains(netip.MustParseAddr(MetadataAddress))
	}
	host := hostname.Of(strings.TrimLeft(entry, "*."))
	return host == "" || host == MetadataAddress || hostname.IsMetadata(host) ||
		slices.ContainsFunc(hostname.DomainsOf(t.UniverseDomain), func(domain string) bool {
			return host == domain || strings.HasSuffix(domain, "."+host) || strings.HasSuffix(host, "."+domain)
		})
}
