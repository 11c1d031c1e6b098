package reach

import "slices"

// client is how a library or tool finds Google's servers. A list has spaces between its entries;
// of variables the first that is set counts.
type client struct {
	name string

	reads files // credential files, which it prefers to a metadata server

	off      string // NAME=VALUE, or NAME= for any value: keeps it from looking for a metadata server
	gates    string // variables without all of which it does not believe to be on Google Cloud
	hosts    string // variables that name the metadata server
	pings    string // variables that name it for the question whether it is there, where they are others
	metadata string // where it is when no variable names it

	plain  string // variables and Java properties that name a proxy for http
	secure string // and for https; empty: it asks no host by https
	alone  bool   // it asks the metadata server without a proxy
	direct bool   // it asks this machine without a proxy

	apis   string // VARIABLE=HOST: the variable puts a host of Google's in another place
	roots  string // variables and Java properties that name the roots that it trusts
	system bool   // it trusts those of the system where none names others
}

// files are what a library makes of a credential file.
type files struct {
	any      bool   // it reads them at all
	gcloud   bool   // it looks for gcloud's in the directory that CLOUDSDK_CONFIG names
	believes string // types whose token_uri or impersonation URL it uses; those of others it has compiled in
}

const (
	metadataName = "metadata.google.internal"

	serviceAccount = "service_account"
	userAccount    = "authorized_user"
	impersonated   = "impersonated_service_account"

	metadataHost = "GCE_METADATA_HOST"
	metadataRoot = "GCE_METADATA_ROOT"
	noCheck      = "NO_GCE_CHECK=true"
	httpProxy    = "http_proxy HTTP_PROXY"
	httpsProxy   = "https_proxy HTTPS_PROXY"
	nodeProxy    = "HTTPS_PROXY https_proxy HTTP_PROXY http_proxy"
	openSSL      = "SSL_CERT_FILE"
	requests     = "REQUESTS_CA_BUNDLE CURL_CA_BUNDLE"
	curlRoots    = "CURL_CA_BUNDLE SSL_CERT_FILE"
)

// clients are Google's libraries and tools, and what people use besides
// (https://cloud.google.com/docs/authentication/client-libraries).
func clients() []client { return slices.Concat(commonClients(), furtherClients()) }

// commonClients are those for which the environment can do everything but lead to Google's
// hosts that they have compiled in.
func commonClients() []client {
	return []client{
		{name: "Go compute/metadata", hosts: metadataHost, metadata: MetadataAddress, alone: true},
		{
			name: "Go cloud.google.com/go/auth", hosts: metadataHost, metadata: MetadataAddress,
			reads: files{any: true, believes: serviceAccount + " " + impersonated},
			plain: httpProxy, secure: httpsProxy, alone: true, direct: true, roots: openSSL, system: true,
		},
		{
			name: "Go golang.org/x/oauth2", hosts: metadataHost, metadata: MetadataAddress,
			reads: files{any: true, believes: serviceAccount + " " + userAccount + " " + impersonated},
			plain: httpProxy, secure: httpsProxy, alone: true, direct: true, roots: openSSL, system: true,
		},
		{
			name: "Python google-auth", hosts: metadataHost + " " + metadataRoot, pings: "GCE_METADATA_IP", metadata: metadataName,
			off:   noCheck + " GCE_METADATA_MTLS_MODE=strict",
			reads: files{any: true, gcloud: true, believes: serviceAccount},
			plain: httpProxy, secure: httpsProxy, roots: requests,
		},
		{
			name: "gcloud", hosts: metadataRoot, metadata: metadataName, off: "CLOUDSDK_CORE_CHECK_GCE_METADATA=false",
			apis: "CLOUDSDK_AUTH_TOKEN_HOST=oauth2.googleapis.com " +
				"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS=iamcredentials.googleapis.com " +
				"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM=iam.googleapis.com " +
				"CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER=cloudresourcemanager.googleapis.com",
			plain: httpProxy, secure: httpsProxy, alone: true, roots: requests + " CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
		},
		{
			name: "Node google-auth-library", hosts: "GCE_METADATA_IP GCE_METADATA_HOST", metadata: MetadataAddress,
			off:   "METADATA_SERVER_DETECTION=none",
			reads: files{any: true},
			plain: nodeProxy, secure: nodeProxy, roots: nodeCertificates,
		},
		{
			name: "Java google-auth-library", hosts: metadataHost, metadata: metadataName, off: noCheck + " DEVSHELL_CLIENT_PORT=",
			reads: files{any: true, gcloud: true, believes: serviceAccount + " " + impersonated},
			plain: "-Dhttp.proxyHost", secure: "-Dhttps.proxyHost", direct: true, roots: "-Djavax.net.ssl.trustStore",
		},
	}
}

// furtherClients are the others.
func furtherClients() []client {
	return []client{
		{
			name: "Ruby googleauth 1", hosts: metadataHost, metadata: MetadataAddress, off: noCheck, gates: "K_SERVICE K_REVISION K_CONFIGURATION",
			reads: files{any: true, believes: impersonated},
			plain: httpProxy, secure: httpsProxy, roots: openSSL, system: true,
		},
		{
			name: "Ruby googleauth 0", metadata: MetadataAddress,
			reads: files{any: true},
			plain: httpProxy, secure: httpsProxy, roots: openSSL, system: true,
		},
		{
			name: "PHP google/auth", metadata: MetadataAddress,
			reads: files{any: true, believes: impersonated},
			plain: "HTTP_PROXY", secure: "HTTPS_PROXY", roots: "PHP_INI_SCAN_DIR", system: true,
		},
		{
			name: ".NET Google.Apis.Auth", hosts: metadataHost, metadata: MetadataAddress,
			reads: files{any: true, believes: serviceAccount},
			plain: httpProxy, secure: httpsProxy, roots: openSSL, system: true,
		},
		{
			name: "C++ google-cloud-cpp", hosts: metadataRoot, metadata: metadataName,
			reads: files{any: true, believes: serviceAccount + " " + userAccount},
			plain: "http_proxy", secure: httpsProxy, roots: curlRoots, system: true,
		},
		{
			name: "Rust google-cloud-auth", hosts: metadataHost, metadata: metadataName,
			reads: files{any: true, believes: serviceAccount + " " + userAccount + " " + impersonated},
			plain: httpProxy, secure: httpsProxy, roots: openSSL, system: true,
		},
		{name: "Rust gcp_auth", metadata: metadataName, reads: files{any: true, believes: serviceAccount}},
		{name: "guest agent", metadata: MetadataAddress, plain: httpProxy, direct: true},
		{name: "curl", metadata: metadataName, plain: "http_proxy", secure: httpsProxy, roots: curlRoots, system: true},
	}
}
