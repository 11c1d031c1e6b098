package doctor

import (
	"slices"

	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/reach/javaoptions"
)

// client is how a library or tool finds Google's servers. Lists in a string have spaces between
// their entries; of variables the first that is set counts.
type client struct {
	name string

	steps   []step                // where it looks for credentials before it asks a metadata server, in this order
	types   map[string][]endpoint // what it asks, in order, for each type of credential file that it knows; empty: that is not known
	sources string                // the types that it takes as the source of impersonation; empty: all of them

	hosts    string // variables that name the metadata server
	urls     bool   // and may do so by a URL
	metadata string // where it is when no variable names it
	alone    bool   // it asks the metadata server without a proxy

	// Variables that name the metadata server for the question whether it is there, where they are
	// others. That is asked without a proxy, and not on a machine that says that it is Google's.
	pings string

	proxies proxies
	apis    []endpoint // hosts of Google's that it asks besides
	roots   string     // variables and Java properties that name the roots that it trusts
	system  bool       // it trusts those of the system where none names others
}

// step is a place where a client looks for credentials. The first that applies decides.
type step struct {
	when   condition // it applies where this holds; empty: always
	unless condition // and this does not

	reads   string     // a credential file: variables that name it, or the path where it may be (below ~ or CLOUDSDK_CONFIG too)
	asks    []endpoint // or with credentials from elsewhere it asks these
	further bool       // and the steps after this one too
	finds   Verdict    // or this is all that can be said,
	because string     // with these words, where the condition has none,
	change  string     // and this remedy, where it is not to unset the variables of the condition
}

// condition holds where one of its alternatives does: all its terms, with spaces between them.
//
//	NAME            the variable is set
//	NAME=VALUE      to this value
//	NAME~VALUE|...  to one of these, in whatever case
//	NAME!VALUE|...  to none of these
//	PATH^TEXT       the file begins so
//	PATH^TEXT<AGE   and was written less than that ago
type condition []string

// endpoint is where a client sends a request: to a URL that a variable or a credential file holds,
// or else to a host of Google's that it has compiled in.
type endpoint struct {
	variable string
	field    string // of a credential file; a.b is b in a. What is an object there is a credential file too
	host     string
	optional bool   // it asks nobody where there is no URL
	secure   bool   // it refuses a URL without TLS
	newer    bool   // only newer versions look at the field
	unless   string // variables: where one is set, it asks nobody
}

// proxies are how a client finds its proxy.
type proxies struct {
	plain  string // variables and Java properties that name one for http
	secure string // for https
	except string // that name hosts which it asks without
	ways   ways
	direct bool // it asks this machine without
}

// ways are how a client reads the list of hosts that it asks without a proxy. Each reads names and
// addresses, and those below a name that begins with a dot.
type ways uint

const (
	all       ways = 1 << iota // an asterisk is any host
	below                      // a name is also those below it
	networks                   // 10.0.0.0/8
	asterisks                  // *.example.com
)

// The types of credential files (https://google.aip.dev/auth/4110 and what it refers to).
const (
	serviceAccount = "service_account"
	userAccount    = reach.UserAccount
	external       = "external_account"
	externalUser   = "external_account_authorized_user"
	impersonated   = "impersonated_service_account"
)

const (
	metadataName = "metadata.google.internal"
	tokenHost    = "oauth2.googleapis.com"
	iamHost      = "iamcredentials.googleapis.com"

	adcVariable  = "GOOGLE_APPLICATION_CREDENTIALS"
	metadataHost = "GCE_METADATA_HOST"
	metadataRoot = "GCE_METADATA_ROOT"
	openSSL      = "SSL_CERT_FILE"
	nodeRoots    = "NODE_EXTRA_CA_CERTS"
	requests     = "REQUESTS_CA_BUNDLE CURL_CA_BUNDLE"
	curlRoots    = "CURL_CA_BUNDLE SSL_CERT_FILE"

	adcFile  = "application_default_credentials.json"
	homeADC  = "~/.config/gcloud/" + adcFile
	ownADC   = "CLOUDSDK_CONFIG/" + adcFile // where gcloud keeps it
	product  = "/sys/class/dmi/id/product_name^Google"
	cloudRun = "export K_SERVICE=emulator K_REVISION=emulator-00001 K_CONFIGURATION=emulator"
)

// clients are Google's libraries and tools, and what people use besides
// (https://cloud.google.com/docs/authentication/client-libraries).
func clients() []client {
	return slices.Concat(goClients(), pythonClients(), nodeClients(), javaClients(), rubyClients(), otherClients())
}

// defaults are the first steps of application default credentials, and further ones.
func defaults(file string, further ...step) []step {
	return append([]step{{reads: adcVariable}, {reads: file}}, further...)
}

// compiledIn is what has one host of Google's, whatever a file says.
func compiledIn(host string) []endpoint { return []endpoint{{host: host}} }

// tokenURI is what asks the server that a file names or, where it names none, Google's.
func tokenURI() []endpoint { return []endpoint{{field: "token_uri", host: tokenHost}} }

// federation is what an external account takes: a token from where its file says, another for it,
// and with some files one of the account that it impersonates. Further requests come after.
func federation(further ...endpoint) []endpoint {
	return append([]endpoint{
		{field: "credential_source.url", optional: true},
		{field: "token_url", host: "sts.googleapis.com"},
		{field: "service_account_impersonation_url", optional: true},
	}, further...)
}

// projectOfPool is what some ask for the project of an external account, unless variables name it
// or, besides these, lead to another server that tells it.
func projectOfPool(besides string) endpoint {
	return endpoint{host: "cloudresourcemanager.googleapis.com", unless: "GOOGLE_CLOUD_PROJECT GCLOUD_PROJECT " + besides}
}

// impersonation asks the server that the file names for the source and for the account,
// impersonationAtGoogle Google for the latter.
func impersonation() []endpoint {
	return []endpoint{{field: "source_credentials"}, {field: "service_account_impersonation_url"}}
}

func impersonationAtGoogle() []endpoint {
	return []endpoint{{field: "source_credentials"}, {host: iamHost}}
}

// goProxies are those of net/http.
func goProxies() proxies {
	return proxies{
		plain: "HTTP_PROXY http_proxy", secure: "HTTPS_PROXY https_proxy",
		except: "NO_PROXY no_proxy", ways: all | below | networks | asterisks, direct: true,
	}
}

func goClients() []client {
	types := func(user []endpoint) map[string][]endpoint {
		return map[string][]endpoint{
			serviceAccount: tokenURI(), userAccount: user,
			external: federation(), externalUser: {{field: "token_url", host: "sts.googleapis.com"}},
			impersonated: impersonation(),
		}
	}
	auth := client{
		name: "Go cloud.google.com/go/auth", steps: defaults(homeADC), types: types(compiledIn(tokenHost)),
		hosts: metadataHost, metadata: reach.MetadataAddress, alone: true,
		proxies: goProxies(), apis: compiledIn(tokenHost), roots: openSSL, system: true,
	}
	oauth2 := auth
	oauth2.name, oauth2.types = "Go golang.org/x/oauth2", types(tokenURI())
	return []client{{name: "Go compute/metadata", hosts: metadataHost, metadata: reach.MetadataAddress, alone: true}, auth, oauth2}
}

func pythonClients() []client {
	types := map[string][]endpoint{
		serviceAccount: {{field: "token_uri"}}, userAccount: compiledIn(tokenHost),
		external: federation(projectOfPool("")), externalUser: {{field: "token_url"}},
		impersonated: impersonationAtGoogle(),
	}
	const sources = serviceAccount + " " + userAccount + " " + externalUser
	library := proxies{
		plain: "http_proxy HTTP_PROXY all_proxy ALL_PROXY", secure: "https_proxy HTTPS_PROXY all_proxy ALL_PROXY",
		except: "no_proxy NO_PROXY", ways: all | below | networks,
	}
	return []client{
		{
			name: "Python google-auth",
			steps: defaults(ownADC,
				step{when: condition{"NO_GCE_CHECK=true"}, finds: FindsNothing},
				step{when: condition{"GCE_METADATA_MTLS_MODE~strict"}, finds: FindsNothing},
			),
			types: types, sources: sources,
			hosts: metadataHost + " " + metadataRoot, pings: "GCE_METADATA_IP", metadata: metadataName,
			proxies: library, apis: compiledIn(tokenHost), roots: requests,
		},
		gcloud(types, sources, library),
	}
}

// gcloud keeps credentials of its own, and has a metadata server as a last resort. Every property
// in its configuration is also a variable, which wins.
func gcloud(types map[string][]endpoint, sources string, library proxies) client {
	token := endpoint{variable: "CLOUDSDK_AUTH_TOKEN_HOST", host: tokenHost}
	iam := endpoint{variable: "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", host: iamHost}
	library.plain = "CLOUDSDK_PROXY_ADDRESS " + library.plain
	library.secure = "CLOUDSDK_PROXY_ADDRESS " + library.secure
	return client{
		name: "gcloud",
		steps: []step{
			{when: condition{"CLOUDSDK_AUTH_DISABLE_CREDENTIALS~true|1|on|yes|y"}, finds: FindsNothing},
			{when: condition{"CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT"}, asks: []endpoint{iam}, further: true, change: byEnv},
			{when: condition{"CLOUDSDK_AUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"}, finds: FindsUnknown},
			{reads: "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"},
			{when: condition{"CLOUDSDK_CORE_ACCOUNT"}, finds: FindsUnknown}, // it keeps the credentials of accounts in a database
			{when: condition{"CLOUDSDK_CORE_CHECK_GCE_METADATA~false|0|off|no|n|none"}, finds: FindsNothing},
			{when: condition{"CLOUDSDK_CONFIG/gce^False<10m"}, finds: FindsNothing, change: byEnv},
		},
		types: map[string][]endpoint{
			serviceAccount: {token}, userAccount: {token},
			external: federation(), externalUser: types[externalUser], impersonated: types[impersonated],
		},
		sources: sources,
		hosts:   metadataRoot, metadata: metadataName, alone: true,
		proxies: library,
		apis: []endpoint{
			token, iam,
			{variable: "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM", host: "iam.googleapis.com"},
			{variable: "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", host: "cloudresourcemanager.googleapis.com"},
		},
		roots: requests + " CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
	}
}

func nodeClients() []client {
	const proxy = "HTTPS_PROXY https_proxy HTTP_PROXY http_proxy" // any for both
	steps := func(file string) []step {
		return []step{
			{reads: adcVariable + " google_application_credentials"},
			{reads: file},
			{
				when: condition{"METADATA_SERVER_DETECTION!assume-present|ping-only"}, finds: FindsNothing,
				unless: condition{"K_SERVICE", "FUNCTION_NAME", "CLOUD_RUN_JOB", "CLOUD_RUN_WORKER_POOL", "/sys/class/dmi/id/bios_vendor^Google"},
			},
		}
	}
	current := client{
		name: "Node google-auth-library", steps: steps(ownADC),
		types: map[string][]endpoint{
			serviceAccount: compiledIn(tokenHost), userAccount: compiledIn(tokenHost),
			external: federation(projectOfPool("GCE_METADATA_IP GCE_METADATA_HOST")), externalUser: {{field: "token_url", host: "sts.googleapis.com"}},
			impersonated: impersonationAtGoogle(),
		},
		hosts: "GCE_METADATA_IP GCE_METADATA_HOST", urls: true, metadata: reach.MetadataAddress,
		proxies: proxies{plain: proxy, secure: proxy, except: "NO_PROXY no_proxy", ways: asterisks},
		apis:    compiledIn(tokenHost), roots: nodeRoots,
	}
	before := current
	before.name, before.steps = "Node google-auth-library 9", steps(homeADC)
	return []client{current, before}
}

func javaClients() []client {
	return []client{{
		name: "Java google-auth-library",
		steps: defaults(ownADC,
			step{when: condition{"DEVSHELL_CLIENT_PORT", "NO_GCE_CHECK~true"}, finds: FindsNothing},
		),
		types: map[string][]endpoint{
			serviceAccount: tokenURI(), userAccount: {{field: "token_uri", host: tokenHost, newer: true}},
			external: {
				{field: "credential_source.url", optional: true},
				{field: "token_url", host: "sts.googleapis.com", secure: true},
				{field: "service_account_impersonation_url", optional: true, secure: true},
			},
			externalUser: {{field: "token_url", host: "sts.googleapis.com"}},
			impersonated: impersonation(),
		},
		sources: serviceAccount + " " + userAccount,
		hosts:   metadataHost, metadata: metadataName,
		proxies: proxies{plain: "-Dhttp.proxyHost -DsocksProxyHost", secure: "-Dhttps.proxyHost -DsocksProxyHost", except: javaoptions.NonProxyHosts},
		apis:    compiledIn(tokenHost), roots: "-Djavax.net.ssl.trustStore",
	}}
}

func rubyClients() []client {
	const google = "www.googleapis.com" // /oauth2/v4/token
	own := []step{
		{when: condition{"GOOGLE_PRIVATE_KEY GOOGLE_CLIENT_EMAIL"}, asks: compiledIn(google)},
		{when: condition{"GOOGLE_CLIENT_ID GOOGLE_CLIENT_SECRET GOOGLE_REFRESH_TOKEN"}, asks: compiledIn(tokenHost)},
		{reads: homeADC},
		{reads: "/etc/google/auth/" + adcFile},
	}
	before := client{
		name: "Ruby googleauth 0", steps: append([]step{{reads: adcVariable}}, own...),
		types:    map[string][]endpoint{serviceAccount: compiledIn(google), userAccount: compiledIn(tokenHost)},
		metadata: reach.MetadataAddress,
		proxies: proxies{
			plain: "http_proxy HTTP_PROXY", secure: "https_proxy HTTPS_PROXY", except: "no_proxy NO_PROXY", ways: below | networks, direct: true,
		},
		apis: compiledIn(tokenHost), roots: openSSL, system: true,
	}
	current := before
	current.name, current.hosts, current.urls = "Ruby googleauth 1", metadataHost, true
	current.steps = append(slices.Clone(before.steps),
		step{when: condition{"NO_GCE_CHECK~true"}, finds: FindsNothing},
		step{
			unless:  condition{"K_SERVICE K_REVISION K_CONFIGURATION", "K_SERVICE K_REVISION GAE_RUNTIME", "GAE_SERVICE GAE_RUNTIME", product},
			because: "it does not believe to be on Google Cloud", finds: FindsNothing, change: cloudRun,
		},
	)
	current.types = map[string][]endpoint{
		serviceAccount: compiledIn(google), userAccount: compiledIn(tokenHost), external: federation(), impersonated: impersonation(),
	}
	current.sources = reach.UserAccount + " " + external // with a key it sends no credentials at all
	return []client{current, before}
}

func otherClients() []client {
	curl := proxies{
		plain: "http_proxy all_proxy ALL_PROXY", secure: "https_proxy HTTPS_PROXY all_proxy ALL_PROXY",
		except: "no_proxy NO_PROXY", ways: all | below | networks,
	}
	return []client{
		{
			name: "PHP google/auth", steps: defaults(homeADC),
			types: map[string][]endpoint{
				serviceAccount: compiledIn(tokenHost), userAccount: compiledIn(tokenHost),
				external: federation(), externalUser: nil, impersonated: impersonation(),
			},
			metadata: reach.MetadataAddress,
			proxies:  proxies{plain: "HTTP_PROXY", secure: "HTTPS_PROXY", except: "NO_PROXY", ways: all | below},
			apis:     compiledIn(tokenHost), roots: "PHP_INI_SCAN_DIR", system: true,
		},
		{
			name: ".NET Google.Apis.Auth", steps: defaults(homeADC),
			types: map[string][]endpoint{
				serviceAccount: tokenURI(), userAccount: compiledIn(tokenHost), external: federation(), externalUser: nil, impersonated: nil,
			},
			hosts: metadataHost, metadata: reach.MetadataAddress,
			proxies: proxies{
				plain: "http_proxy HTTP_PROXY all_proxy ALL_PROXY", secure: "https_proxy HTTPS_PROXY all_proxy ALL_PROXY",
				except: "no_proxy NO_PROXY", ways: asterisks,
			},
			apis: compiledIn(tokenHost), roots: openSSL, system: true,
		},
		{
			name: "C++ google-cloud-cpp", steps: defaults(homeADC),
			types: map[string][]endpoint{
				serviceAccount: tokenURI(), userAccount: tokenURI(), external: federation(), impersonated: impersonationAtGoogle(),
			},
			hosts: metadataRoot, metadata: metadataName,
			proxies: curl, apis: compiledIn(tokenHost), roots: curlRoots, system: true,
		},
		{
			name: "Rust google-cloud-auth", steps: defaults(homeADC),
			types: map[string][]endpoint{
				serviceAccount: tokenURI(), userAccount: tokenURI(), external: federation(), impersonated: impersonation(),
			},
			hosts: metadataHost, metadata: metadataName,
			proxies: proxies{
				plain: "HTTP_PROXY http_proxy ALL_PROXY all_proxy", secure: "HTTPS_PROXY https_proxy ALL_PROXY all_proxy",
				except: "NO_PROXY no_proxy", ways: all | below | networks,
			},
			apis: compiledIn(tokenHost), roots: openSSL, system: true,
		},
		{
			name: "Rust gcp_auth", steps: defaults(homeADC),
			types:    map[string][]endpoint{serviceAccount: {{field: "token_uri"}}, userAccount: compiledIn("accounts.google.com")},
			metadata: metadataName,
			apis:     compiledIn(tokenHost), roots: openSSL, system: true,
		},
		{name: "guest agent", metadata: reach.MetadataAddress, proxies: goProxies()},
		{name: "curl", metadata: metadataName, proxies: curl, apis: compiledIn(tokenHost), roots: curlRoots, system: true},
	}
}
