package doctor

import (
	"slices"
	"strconv"
	"strings"

	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/reach/javaoptions"
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
	ownADC   = "CLOUDSDK_CONFIG/" + adcFile // gcloud writes it here
	product  = "/sys/class/dmi/id/product_name^Google"
	cloudRun = "export K_SERVICE=emulator K_REVISION=emulator-00001 K_CONFIGURATION=emulator"
)

// clients returns Google's libraries and tools, and other common clients
// (https://cloud.google.com/docs/authentication/client-libraries).
// Some rules depend on the version of Node.
func clients(node string) []client {
	return slices.Concat(goClients(), pythonClients(), nodeClients(), nodeFetch(node), javaClients(), rubyClients(), otherClients(), rustClients())
}

// defaults returns the first steps of application default credentials, followed by further steps.
func defaults(file string, further ...step) []step {
	return append([]step{{reads: adcVariable}, {reads: file}}, further...)
}

// compiledIn returns the endpoint of a host of Google that no file can change.
func compiledIn(host string) []endpoint { return []endpoint{{host: host}} }

// tokenURI returns the endpoint of the token server that a file names, or Google's if it names none.
func tokenURI() []endpoint { return []endpoint{{field: "token_uri", host: tokenHost}} }

// federation returns the endpoints of an external account: the source of the subject token, the
// token exchange, the impersonation if the file has one, and then further endpoints.
func federation(further ...endpoint) []endpoint {
	return append([]endpoint{
		{field: "credential_source.url", optional: true},
		{field: "token_url", host: "sts.googleapis.com"},
		{field: "service_account_impersonation_url", optional: true},
	}, further...)
}

// projectOfPool returns the endpoint that some clients ask for the project of an external account.
// If a variable names the project, they do not ask. They also do not ask if one of the variables in
// besides is set, because these name a metadata server, which knows the project.
func projectOfPool(besides string) endpoint {
	return endpoint{host: "cloudresourcemanager.googleapis.com", unless: "GOOGLE_CLOUD_PROJECT GCLOUD_PROJECT " + besides}
}

// impersonation returns the endpoints of impersonation, if a client follows the URL of the account
// in the file. Clients with impersonationAtGoogle ignore this URL and ask Google.
func impersonation() []endpoint {
	return []endpoint{{field: "source_credentials"}, {field: "service_account_impersonation_url"}}
}

func impersonationAtGoogle() []endpoint {
	return []endpoint{{field: "source_credentials"}, {host: iamHost}}
}

// goProxies returns the rules of net/http.
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
			name:  "Python google-auth",
			steps: defaults(ownADC, append([]step{{when: condition{"NO_GCE_CHECK=true"}, finds: FindsNothing}}, metadataTLS()...)...),
			types: types, sources: sources,
			hosts: metadataHost + " " + metadataRoot, pings: "GCE_METADATA_IP", metadata: metadataName,
			proxies: library, apis: compiledIn(tokenHost), roots: requests,
		},
		gcloud(types, sources, library),
	}
}

// metadataTLS returns the steps of google-auth 2.42 or newer that concern the metadata server with TLS. With
// the guest agent's files, it uses TLS; only at the server's own name and address does it fall back to http.
func metadataTLS() []step {
	const (
		mode   = "GCE_METADATA_MTLS_MODE"
		files  = " " + reach.MetadataRoots + "^ " + reach.MetadataClient + "^"
		others = "!" + metadataName + "|" + reach.MetadataAddress
		off    = "export " + mode + "=none"
	)
	return []step{
		{when: condition{mode + "~strict " + metadataHost + others, mode + "~strict " + metadataRoot + others}, finds: FindsNothing, change: off},
		{when: condition{mode + "~strict" + files}, asks: []endpoint{{host: metadataName, roots: reach.MetadataRoots}}, change: off},
		{when: condition{mode + "~strict"}, finds: FindsNothing, change: off},
		{
			when: condition{metadataHost + others + files, metadataRoot + others + files}, unless: condition{mode + "~none"},
			finds: FindsNothing, change: off,
		},
	}
}

// gcloud returns the rules of gcloud. It has its own store of credentials, and asks a metadata
// server as a last resort. Every property of its configuration is also a variable, which takes
// precedence.
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
			{when: condition{"CLOUDSDK_CORE_ACCOUNT"}, finds: FindsUnknown}, // the credentials of accounts are in a database
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
		apis:    gcloudAPIs(token),
		roots:   requests + " CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
	}
}

// gcloudAPIs returns the endpoints of the token server, of revocations, and of every API.
func gcloudAPIs(token endpoint) []endpoint {
	token.name = "oauth2 token"
	apis := []endpoint{token}
	for _, api := range reach.OverriddenAPIs() {
		apis = append(apis, endpoint{name: api.Name, variable: api.Value, host: api.Name + ".googleapis.com"})
	}
	return append(apis, endpoint{name: "oauth2 revoke", host: tokenHost})
}

func nodeClients() []client {
	const proxy = "HTTPS_PROXY https_proxy HTTP_PROXY http_proxy" // each of them is used for both schemes
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

// nodeFetch returns the rules of fetch, which is built into Node. It uses a proxy only if a variable says
// so, and only since version 22.21 and since version 24
// (https://nodejs.org/api/cli.html#node_use_env_proxy1). version is empty if Node is not installed.
func nodeFetch(version string) []client {
	major, minor, isKnown := versionOf(version)
	if !isKnown {
		return nil
	}
	fetch := client{name: "Node fetch", apis: compiledIn(tokenHost), roots: nodeRoots}
	if major >= 24 || major == 22 && minor >= 21 {
		fetch.proxies = proxies{
			only:  "NODE_USE_ENV_PROXY",
			plain: "http_proxy HTTP_PROXY", secure: "https_proxy HTTPS_PROXY", except: "no_proxy NO_PROXY", ways: all | asterisks,
		}
	} else {
		fetch.name += " (" + version + ")"
		fetch.because, fetch.remedy = "this version uses no proxy", "use Node 24, or "+byTakeover
	}
	return []client{fetch}
}

// versionOf reads a version such as v22.21.1.
func versionOf(text string) (major, minor int, isVersion bool) {
	parts := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, majorErr := strconv.Atoi(parts[0])
	minor, minorErr := strconv.Atoi(parts[1])
	return major, minor, majorErr == nil && minorErr == nil
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
			because: "it does not detect Google Cloud", finds: FindsNothing, change: cloudRun,
		},
	)
	current.types = map[string][]endpoint{
		serviceAccount: compiledIn(google), userAccount: compiledIn(tokenHost), external: federation(), impersonated: impersonation(),
	}
	current.sources = reach.UserAccount + " " + external // with a key as the source it sends no credentials
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
		{name: "guest agent", metadata: reach.MetadataAddress, proxies: goProxies()},
		{name: "curl", metadata: metadataName, proxies: curl, apis: compiledIn(tokenHost), roots: curlRoots, system: true},
	}
}

func rustClients() []client {
	reqwest := proxies{
		plain: "HTTP_PROXY http_proxy ALL_PROXY all_proxy", secure: "HTTPS_PROXY https_proxy ALL_PROXY all_proxy",
		except: "NO_PROXY no_proxy", ways: all | below | networks,
	}
	return []client{
		{
			name: "Rust google-cloud-auth", steps: defaults(homeADC),
			types: map[string][]endpoint{
				serviceAccount: tokenURI(), userAccount: tokenURI(), external: federation(), impersonated: impersonation(),
			},
			hosts: metadataHost, metadata: metadataName,
			proxies: reqwest,
			apis:    compiledIn(tokenHost), roots: openSSL, system: true,
		},
		{
			name: "Rust gcp_auth", steps: defaults(homeADC),
			types:    map[string][]endpoint{serviceAccount: {{field: "token_uri"}}, userAccount: compiledIn("accounts.google.com")},
			metadata: metadataName,
			apis:     compiledIn(tokenHost), roots: openSSL, system: true,
		},
		{
			name:    "Rust with webpki-roots", // the roots are compiled in, as in programs that pin a certificate
			proxies: reqwest,
			apis:    compiledIn(tokenHost), because: "it trusts only roots that are compiled in", remedy: "build it with the roots of the system (rustls-native-certs)",
		},
	}
}
