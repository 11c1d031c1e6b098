package doctor

import (
	"cmp"
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/router/hostname"
)

// request is why a client sends what it sends, and what keeps it from that.
type request struct {
	rule, remedy string
}

func (r request) and(rule string) request {
	if r.rule != "" {
		rule = r.rule + ", " + rule
	}
	return request{rule, r.remedy}
}

// byFile follows a client to the servers that give it tokens for a credential file.
func (s Surroundings) byFile(c client, file string, by request) Finding {
	var credential map[string]any
	data, err := s.Read(file)
	if err == nil {
		err = json.Unmarshal(data, &credential)
	}
	if err != nil {
		return Finding{Finds: FindsUnknown, At: file, Because: by.rule + ", which cannot be read", Change: by.remedy}
	}
	found := s.byCredential(c, credential, by)
	found.At = cmp.Or(found.At, file)
	return found
}

// byCredential follows a client to the servers that give it tokens for what is in a file.
func (s Surroundings) byCredential(c client, credential map[string]any, by request) Finding {
	kind := typeOf(credential)
	by = by.and("of type " + strconv.Quote(kind))
	endpoints, isKnown := c.types[kind]
	switch {
	case !isKnown:
		return Finding{Finds: FindsNothing, Because: by.and("which it does not know").rule, Change: by.remedy}
	case len(endpoints) == 0:
		return Finding{Finds: FindsUnknown, Because: by.and("whose use is not known").rule, Change: by.remedy}
	default:
		return s.follow(c, by, endpoints, credential)
	}
}

func typeOf(credential map[string]any) string {
	kind, _ := credential["type"].(string) // which any file may lack
	return kind
}

// follow follows a client to servers that it asks one after another, until one is not the emulator.
// Credential is what is in the file that it has read, if any.
func (s Surroundings) follow(c client, by request, endpoints []endpoint, credential map[string]any) Finding {
	var found Finding
	for _, one := range endpoints {
		next, isAsked := s.ask(c, by, one, credential)
		if !isAsked {
			continue
		}
		if found = next; found.Finds != FindsEmulator {
			break
		}
	}
	return found
}

// ask follows a client to one server, if it asks any.
func (s Surroundings) ask(c client, by request, one endpoint, credential map[string]any) (found Finding, isAsked bool) {
	if slices.ContainsFunc(strings.Fields(one.unless), func(name string) bool { return s.Variable(name) != "" }) {
		return Finding{}, false
	}
	if value, rule := s.setting(one.variable); value != "" {
		return s.endpoint(c, value, request{rule, byEnv}), true
	}
	switch value := inside(credential, one.field).(type) {
	case string:
		return s.inField(c, value, by, one), true
	case map[string]any:
		if kind := typeOf(value); c.sources != "" && !slices.Contains(strings.Fields(c.sources), kind) {
			return Finding{Finds: FindsNothing, Because: by.and("which it does not take from type " + strconv.Quote(kind)).rule, Change: by.remedy}, true
		}
		return s.byCredential(c, value, by), true
	}
	switch {
	case one.host != "":
		if credential != nil {
			by.remedy = "" // the file may be the emulator's
		}
		return s.atGoogle(c, by, one), true
	case one.optional:
		return Finding{}, false
	default:
		return Finding{Finds: FindsUnknown, Because: by.and("without " + one.field).rule, Change: by.remedy}, true
	}
}

// inField follows a client to the URL in a field of a credential file.
func (s Surroundings) inField(c client, written string, by request, one endpoint) Finding {
	if one.secure && !strings.HasPrefix(written, "https:") {
		return Finding{Finds: FindsNothing, At: written, Because: by.and("whose " + one.field + " is not https").rule, Change: by.remedy}
	}
	found := s.endpoint(c, written, by)
	if one.newer && found.Finds == FindsEmulator {
		return Finding{Finds: FindsUnknown, At: found.At, Because: by.and("whose " + one.field + " only newer versions use").rule, Change: by.remedy}
	}
	return found
}

// inside is what a field of a credential file holds: for a.b, field b of a.
func inside(credential map[string]any, field string) any {
	name, rest, isNested := strings.Cut(field, ".")
	if !isNested {
		return credential[name]
	}
	nested, _ := credential[name].(map[string]any)
	return inside(nested, rest)
}

// atGoogle follows a client to a host of Google's that it has compiled in.
func (s Surroundings) atGoogle(c client, by request, one endpoint) Finding {
	switch {
	case one.variable != "":
		by = by.and(one.variable + " is not set")
	case by.rule != "":
		by = by.and(one.host + " is compiled in")
	default:
		by.rule = "compiled in"
	}
	switch {
	case by.remedy != "":
	case c.proxies.secure == "":
		by.remedy = byTakeover
	default:
		by.remedy = byProxy
	}
	return s.connect(c, "https", net.JoinHostPort(one.host, httpsPort), by)
}

// endpoint follows a client to a URL that is written somewhere.
func (s Surroundings) endpoint(c client, written string, by request) Finding {
	parsed, err := url.Parse(written)
	if err != nil || parsed.Host == "" {
		return Finding{Finds: FindsUnknown, At: written, Because: by.rule, Change: by.remedy}
	}
	port := httpPort
	if parsed.Scheme == "https" {
		port = httpsPort
	}
	return s.connect(c, parsed.Scheme, withPort(parsed.Host, port), by)
}

// connect follows a client to a host and port, by a proxy where it uses one, and to what it trusts
// where it uses TLS.
func (s Surroundings) connect(c client, scheme, hostport string, by request) Finding {
	found := s.byProxy(c, scheme, hostport)
	if found.Finds == "" {
		found = s.directly(scheme, hostport, by)
	}
	if found.Finds == FindsEmulator && scheme == "https" {
		found = s.trusting(c, found)
	}
	if found.Finds != FindsEmulator {
		found.Change = cmp.Or(found.Change, by.remedy)
	}
	return found
}

// directly is what is at a host and port.
func (s Surroundings) directly(scheme, hostport string, by request) Finding {
	host, port, _ := net.SplitHostPort(hostport) // it has been put together so
	address := host
	if mapped, ok := s.Hosts[strings.ToLower(host)]; ok {
		address = mapped
		by = by.and("and the hosts file says " + mapped)
	}
	found := Finding{At: hostport, Because: by.rule, Finds: FindsOther}
	isGoogle := hostname.IsGoogle(hostname.Of(host)) || hostname.IsMetadata(hostname.Of(host)) || host == reach.MetadataAddress
	switch at := net.JoinHostPort(address, port); {
	case s.IsEmulator(scheme, at):
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

func withPort(host, port string) string {
	host = strings.TrimSuffix(host, "/")
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
