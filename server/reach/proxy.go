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

// Proxy is the reach of hosts that programs have compiled in: the emulator is their proxy, and
// they trust its certificate authority.
type Proxy struct {
	Trust  trust.Files
	Preset func(name string) string // the caller's environment
}

// CertificateFiles are the variables that name a file of roots in PEM and that some program
// prefers to every other; the first is read by most.
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

// nodeCertificates names a file of roots besides Node's own.
const nodeCertificates = "NODE_EXTRA_CA_CERTS"

// variables are those of a proxy at a base URL, where hosts are kept from it.
func (p *Proxy) variables(base, host, port, noProxy string) []Variable {
	variables := []Variable{
		// Most read either spelling of the first four, gRPC the fifth before them.
		{"HTTP_PROXY", base},
		{"http_proxy", base},
		{"HTTPS_PROXY", base},
		{"https_proxy", base},
		{"grpc_proxy", base},
		{"ALL_PROXY", base},
		{"all_proxy", base},
		{"no_grpc_proxy", noProxy},
		{"NODE_USE_ENV_PROXY", "1"}, // Node's own fetch
	}
	return append(variables, p.trusting(
		"-Dhttp.proxyHost="+host, "-Dhttp.proxyPort="+port,
		"-Dhttps.proxyHost="+host, "-Dhttps.proxyPort="+port,
	)...)
}

// trusting are the variables by which programs trust the authority. A Java virtual machine gets
// further properties by the same.
func (p *Proxy) trusting(properties ...string) []Variable {
	var variables []Variable
	for _, name := range CertificateFiles() {
		file := p.Trust.Bundle
		if name == nodeCertificates && p.Preset(name) == "" {
			file = p.Trust.Authority // every process reads it when it starts
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

// java are the variables that give a Java virtual machine its properties. It knows no others;
// those of the same name that are set already are taken out, but for hosts that it is to ask
// without a proxy: of these it keeps what is not Google's.
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
		if hosts := keptFromJavasProxy(preset); hosts != "" {
			options = append(options, javaoptions.NonProxyHosts+"="+hosts)
		}
		for i, option := range options {
			options[i] = javaoptions.Quote(option)
		}
		variables = append(variables, Variable{name, strings.Join(options, " ")})
	}
	return variables
}

// keptFromJavasProxy are the hosts that options keep from the proxy, without Google's.
func keptFromJavasProxy(options []string) string {
	googles := append(hostname.Domains(), MetadataAddress)
	for _, line := range HostsLines() {
		googles = append(googles, line.Names...)
	}
	preset, _ := javaoptions.Property(options, javaoptions.NonProxyHosts)
	return strings.Join(slices.DeleteFunc(strings.Split(preset, "|"), func(pattern string) bool {
		return slices.ContainsFunc(googles, func(host string) bool { return javaoptions.MatchesHost(host, pattern) })
	}), "|")
}

// leadsPast tells whether an entry of NO_PROXY keeps one of Google's names from the proxy.
func leadsPast(entry string) bool {
	if network, err := netip.ParsePrefix(entry); err == nil {
		return network.Contains(netip.MustParseAddr(MetadataAddress))
	}
	host := hostname.Of(strings.TrimLeft(entry, "*."))
	return host == "" || host == MetadataAddress || hostname.IsMetadata(host) ||
		slices.ContainsFunc(hostname.Domains(), func(domain string) bool {
			return host == domain || strings.HasSuffix(domain, "."+host) || strings.HasSuffix(host, "."+domain)
		})
}
