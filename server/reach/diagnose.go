package reach

import (
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/hostname"
)

// Surroundings are everything by which programs decide where Google's servers are.
type Surroundings struct {
	Variable func(name string) string
	Home     string                            // the home directory
	Read     func(file string) ([]byte, error) // reads a file
	Hosts    map[string]string                 // the address of each name in the hosts file

	Emulator   string                     // the host and port where the emulator is to be found
	IsEmulator func(hostport string) bool // tells whether it is the one that answers there
	Trusts     func(file string) bool     // tells whether a file of roots holds its authority, or none is needed; "" is the system's
}

// Verdict says what a program finds.
type Verdict string

// The verdicts.
const (
	FindsEmulator  Verdict = "emulator"
	FindsUntrusted Verdict = "untrusted" // the emulator, whose certificate it refuses
	FindsGoogle    Verdict = "google"
	FindsOther     Verdict = "other"   // another server
	FindsNothing   Verdict = "nothing" // it does not look for one
	FindsUnknown   Verdict = "unknown"
)

// What a client is looking for.
const (
	ForCredentials = "credentials" // where it gets the default credentials
	ForAPIs        = "apis"        // Google's hosts that it has compiled in
)

// Finding is what a client finds, by which rule, and what to change for it to find the emulator.
type Finding struct {
	Client  string  `json:"client"`
	For     string  `json:"for"` // ForCredentials or ForAPIs
	Finds   Verdict `json:"finds"`
	At      string  `json:"at"` // host and port, or a file
	Because string  `json:"because"`
	Change  string  `json:"change,omitempty"` // empty where it finds the emulator
}

// Commands that lead programs to the emulator.
const (
	byEnv      = `eval "$(gcp-metadata-emulator env)"`
	byProxy    = `eval "$(gcp-metadata-emulator env --reach proxy)"`
	byTakeover = "scripts/namespace -- COMMAND"
)

const (
	httpPort  = "80"
	httpsPort = "443"
)

// Diagnose says of each client that is known what it finds.
func (s Surroundings) Diagnose() []Finding {
	var findings []Finding
	for _, c := range clients() {
		one := s.credentials(c)
		one.Client, one.For = c.name, ForCredentials
		findings = append(findings, one)
		if c.secure == "" {
			continue
		}
		one = s.apis(c)
		one.Client, one.For = c.name, ForAPIs
		findings = append(findings, one)
	}
	return findings
}

// credentials follows a client to its default credentials.
func (s Surroundings) credentials(c client) Finding {
	if file, rule, remedy := s.credentialFile(c); file != "" {
		return s.byFile(c, file, rule, remedy)
	}
	for one := range strings.FieldsSeq(c.off) {
		name, switching, _ := strings.Cut(one, "=")
		if value := s.Variable(name); value != "" && (switching == "" || strings.EqualFold(value, switching)) {
			return Finding{Finds: FindsNothing, Because: name + "=" + value, Change: "unset " + name}
		}
	}
	for name := range strings.FieldsSeq(c.gates) {
		if s.Variable(name) == "" && !s.isGoogles() {
			return Finding{
				Finds: FindsNothing, Because: name + " is not set, and it does not believe to be on Google Cloud",
				Change: "export K_SERVICE=emulator K_REVISION=emulator-00001 K_CONFIGURATION=emulator",
			}
		}
	}
	found := s.metadata(c, strings.Fields(c.hosts), c.metadata)
	if found.Finds == FindsEmulator && c.pings != "" {
		if ping := s.metadata(c, strings.Fields(c.pings), MetadataAddress); ping.Finds != FindsEmulator {
			return ping
		}
	}
	return found
}

// isGoogles tells whether the machine says that it is one of Google's.
func (s Surroundings) isGoogles() bool {
	product, err := s.Read("/sys/class/dmi/id/product_name")
	return err == nil && strings.HasPrefix(string(product), "Google")
}

// metadata follows a client to the metadata server that variables name.
func (s Surroundings) metadata(c client, variables []string, otherwise string) Finding {
	proxies := c.plain
	if c.alone {
		proxies = ""
	}
	host, rule, change := otherwise, "compiled in", byEnv
	switch {
	case len(variables) > 0:
		rule = strings.Join(variables, " or ") + " is not set"
	case proxies != "":
		change = byProxy
	default:
		change = byTakeover
	}
	for _, name := range variables {
		if value := s.Variable(name); value != "" {
			host, rule, change = strings.TrimPrefix(value, "http://"), name+"="+value, "export "+name+"="+s.Emulator
			break
		}
	}
	found := s.connect(c, proxies, withPort(host, httpPort), rule)
	if found.Finds != FindsEmulator && found.Change == "" {
		found.Change = change
	}
	return found
}

// apis follows a client to hosts of Google's that it has compiled in.
func (s Surroundings) apis(c client) Finding {
	if c.apis == "" {
		return s.api(c, "oauth2.googleapis.com", "compiled in")
	}
	var found Finding
	for api := range strings.FieldsSeq(c.apis) {
		name, host, _ := strings.Cut(api, "=")
		if value := s.Variable(name); value != "" {
			found = s.endpoint(c, value, name+"="+value, byEnv)
		} else {
			found = s.api(c, host, name+" is not set")
		}
		if found.Finds != FindsEmulator {
			break
		}
	}
	return found
}

// api follows a client to a host of Google's, by TLS.
func (s Surroundings) api(c client, host, rule string) Finding {
	found := s.connect(c, c.secure, net.JoinHostPort(host, httpsPort), rule)
	if found.Finds == FindsEmulator {
		found = s.trusting(c, found)
	}
	if found.Finds != FindsEmulator && found.Change == "" {
		found.Change = byProxy
		if c.secure == "" {
			found.Change = byTakeover
		}
	}
	return found
}

// connect follows a client to a host and port, by a proxy where it uses one.
func (s Surroundings) connect(c client, proxies, hostport, rule string) Finding {
	host, port, _ := net.SplitHostPort(hostport) // it has been put together so
	proxy, by := s.proxy(proxies)
	if proxy != "" && (!c.direct || !isLoopback(host)) && !s.isKeptFromProxies(host) {
		found := Finding{At: proxy, Because: by, Finds: FindsOther}
		if s.IsEmulator(proxy) {
			found.Finds = FindsEmulator
		} else if isLoopback(host) {
			found.Change = "export NO_PROXY=" + host + " no_proxy=" + host
		}
		return found
	}
	address := host
	if mapped, ok := s.Hosts[strings.ToLower(host)]; ok {
		address, rule = mapped, rule+", and the hosts file says "+mapped
	}
	found := Finding{At: hostport, Because: rule, Finds: FindsOther}
	isGoogle := hostname.IsGoogle(hostname.Of(host)) || hostname.IsMetadata(hostname.Of(host)) || host == MetadataAddress
	switch at := net.JoinHostPort(address, port); {
	case s.IsEmulator(at):
		found.Finds, found.At = FindsEmulator, at
	case isGoogle && address == host:
		found.Finds = FindsGoogle
	}
	return found
}

// trusting tells whether a client that finds the emulator by TLS trusts it.
func (s Surroundings) trusting(c client, found Finding) Finding {
	file := ""
	for name := range strings.FieldsSeq(c.roots) {
		if value, by := s.setting(name); value != "" {
			file, found.Because = value, found.Because+", "+by
			break
		}
	}
	if (file != "" || c.system) && s.Trusts(file) {
		return found
	}
	found.Finds, found.Change = FindsUntrusted, byProxy
	return found
}

// proxy is the host and port of the first of the proxies that is set, and by which rule.
func (s Surroundings) proxy(variables string) (hostport, rule string) {
	for name := range strings.FieldsSeq(variables) {
		value, by := s.setting(name)
		if value == "" {
			continue
		}
		if port, _ := s.setting(strings.Replace(name, "Host", "Port", 1)); strings.HasPrefix(name, "-D") && port != "" {
			return net.JoinHostPort(value, port), by
		}
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		parsed, err := url.Parse(value)
		if err != nil {
			return value, by
		}
		return withPort(parsed.Host, httpPort), by
	}
	return "", ""
}

// setting is the value of a variable, or of a property of Java's that some variable holds, and
// who says so.
func (s Surroundings) setting(name string) (value, rule string) {
	if !strings.HasPrefix(name, "-D") {
		value = s.Variable(name)
		return value, name + "=" + value
	}
	for _, variable := range []string{"_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS"} {
		options := s.Variable(variable)
		if at := strings.LastIndex(options, name+"="); at >= 0 {
			quoted := at > 0 && options[at-1] == '"'
			value = options[at+len(name)+1:]
			if quoted {
				value, _, _ = strings.Cut(value, `"`)
			} else {
				value, _, _ = strings.Cut(value, " ")
			}
			return value, variable + " has " + name + "=" + value
		}
	}
	return "", ""
}

// isKeptFromProxies tells whether NO_PROXY names a host or a domain that it is below.
func (s Surroundings) isKeptFromProxies(host string) bool {
	list := s.Variable("NO_PROXY") + "," + s.Variable("no_proxy")
	return slices.ContainsFunc(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }), func(entry string) bool {
		if network, err := netip.ParsePrefix(entry); err == nil {
			address, err := netip.ParseAddr(host)
			return err == nil && network.Contains(address)
		}
		domain := strings.TrimLeft(entry, "*.")
		return domain == "" || host == domain || strings.HasSuffix(host, "."+domain)
	})
}

func withPort(host, port string) string {
	host = strings.TrimSuffix(host, "/")
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// credentialFile is the file that a client prefers to a metadata server, by which rule, and how
// to keep it from that.
func (s Surroundings) credentialFile(c client) (file, rule, remedy string) {
	const variable = "GOOGLE_APPLICATION_CREDENTIALS"
	if !c.reads.any {
		return "", "", ""
	}
	if file := s.Variable(variable); file != "" {
		return file, variable + "=" + file, "unset " + variable
	}
	folder, remedy := filepath.Join(s.Home, ".config", "gcloud"), "run it with another HOME, or move the file away"
	if own := s.Variable("CLOUDSDK_CONFIG"); c.reads.gcloud && own != "" {
		folder, remedy = own, byEnv
	}
	file = filepath.Join(folder, "application_default_credentials.json")
	if _, err := s.Read(file); err != nil {
		return "", "", ""
	}
	return file, "it reads " + file, remedy
}

// byFile follows a client to the server that gives it tokens for a credential file.
func (s Surroundings) byFile(c client, file, rule, remedy string) Finding {
	var credential struct {
		Type          string `json:"type"`
		TokenURI      string `json:"token_uri"`
		TokenURL      string `json:"token_url"`
		Impersonation string `json:"service_account_impersonation_url"`
	}
	data, err := s.Read(file)
	if err == nil {
		err = json.Unmarshal(data, &credential)
	}
	if err != nil {
		return Finding{Finds: FindsUnknown, At: file, Because: rule + ", which cannot be read", Change: remedy}
	}
	isBelieved := slices.Contains(strings.Fields(c.reads.believes), credential.Type)
	var found Finding
	switch {
	case strings.HasPrefix(credential.Type, "external_account"):
		found = s.endpoint(c, credential.TokenURL, rule, remedy)
		if found.Finds == FindsEmulator && credential.Impersonation != "" {
			found = s.endpoint(c, credential.Impersonation, rule, remedy)
		}
	case isBelieved && credential.Type == impersonated:
		found = s.endpoint(c, credential.Impersonation, rule, remedy)
	case isBelieved && credential.TokenURI != "":
		found = s.endpoint(c, credential.TokenURI, rule, remedy)
	case credential.Type == impersonated:
		found = s.api(c, "iamcredentials.googleapis.com", rule+", whose URL it does not use")
	default:
		found = s.api(c, "oauth2.googleapis.com", rule+", whose token_uri it does not use")
	}
	return found
}

// endpoint follows a client to a URL that is written somewhere.
func (s Surroundings) endpoint(c client, written, rule, remedy string) Finding {
	parsed, err := url.Parse(written)
	if err != nil || parsed.Host == "" {
		return Finding{Finds: FindsUnknown, At: written, Because: rule, Change: remedy}
	}
	var found Finding
	if parsed.Scheme == "https" {
		found = s.connect(c, c.secure, withPort(parsed.Host, httpsPort), rule)
		if found.Finds == FindsEmulator {
			return s.trusting(c, found)
		}
	} else {
		found = s.connect(c, c.plain, withPort(parsed.Host, httpPort), rule)
	}
	if found.Finds != FindsEmulator && found.Change == "" {
		found.Change = remedy
	}
	return found
}
