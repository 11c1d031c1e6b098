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

// request holds the reason of a request and the remedy that prevents it.
type request struct {
	rule, remedy string
}

func (r request) and(rule string) request {
	if r.rule != "" {
		rule = r.rule + ", " + rule
	}
	return request{rule, r.remedy}
}

// byFile returns the server that a client asks for tokens because of a credential file.
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

// byCredential is byFile for the content of the file.
func (s Surroundings) byCredential(c client, credential map[string]any, by request) Finding {
	kind := typeOf(credential)
	by = by.and("of type " + strconv.Quote(kind))
	endpoints, isKnown := c.types[kind]
	switch {
	case !isKnown:
		return Finding{Finds: FindsNothing, Because: by.and("which it does not support").rule, Change: by.remedy}
	case len(endpoints) == 0:
		return Finding{Finds: FindsUnknown, Because: by.and("which the doctor has no rules for").rule, Change: by.remedy}
	default:
		return s.judge(s.follow(c, by, endpoints, credential), credential, by)
	}
}

// judge changes the finding for a credential file if the file is somebody else's. The emulator refuses its
// secret, and a reach that leads the client to the emulator would only bring the secret there.
func (s Surroundings) judge(found Finding, credential map[string]any, by request) Finding {
	text := func(field string) string {
		value, _ := credential[field].(string) // any file may lack it
		return value
	}
	secret := Credential{Email: text("client_email"), KeyID: text("private_key_id"), RefreshToken: text("refresh_token")}
	if (secret.KeyID == "" && secret.RefreshToken == "") || s.Accepts == nil || s.Accepts(secret) {
		return found
	}
	if found.Finds == FindsEmulator {
		found.Finds, found.Because = FindsRefusal, found.Because+", and the emulator refuses its secret, which is somebody else's"
	}
	found.Change = by.remedy
	return found
}

func typeOf(credential map[string]any) string {
	kind, _ := credential["type"].(string) // any file may lack it
	return kind
}

// follow returns the first of a client's endpoints at another server than the emulator, or the last
// endpoint. credential is the content of the client's credential file, or nil.
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

// ask returns the server of one endpoint. isAsked reports whether the client sends a request at all.
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
			return Finding{Finds: FindsNothing, Because: by.and("which it does not accept with a source of type " + strconv.Quote(kind)).rule, Change: by.remedy}, true
		}
		return s.byCredential(c, value, by), true
	}
	switch {
	case one.host != "":
		if credential != nil {
			by.remedy = "" // the file may have been written for the emulator
		}
		return s.atGoogle(c, by, one), true
	case one.optional:
		return Finding{}, false
	default:
		return Finding{Finds: FindsUnknown, Because: by.and("without " + one.field).rule, Change: by.remedy}, true
	}
}

// inField returns the server of the URL in a field of a credential file.
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

// inside returns the value of a field of a credential file. Field a.b is b in a.
func inside(credential map[string]any, field string) any {
	name, rest, isNested := strings.Cut(field, ".")
	if !isNested {
		return credential[name]
	}
	nested, _ := credential[name].(map[string]any)
	return inside(nested, rest)
}

// atGoogle returns the server that answers for a client's compiled-in host of Google.
func (s Surroundings) atGoogle(c client, by request, one endpoint) Finding {
	switch {
	case one.variable != "":
		by = by.and(one.variable + " is not set")
		by.remedy = cmp.Or(by.remedy, byEnv)
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
	if one.roots != "" {
		c.roots, c.trusted = "", one.roots
	}
	return s.connect(c, "https", net.JoinHostPort(one.host, httpsPort), by)
}

// endpoint returns the server of a URL in a setting or a file.
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

// connect returns the server that a client reaches for a host and port, also through a proxy. With
// TLS, it also checks whether the client trusts the emulator.
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

// directly returns the server at a host and port.
func (s Surroundings) directly(scheme, hostport string, by request) Finding {
	host, port, _ := net.SplitHostPort(hostport) // it always has this form
	address := host
	if mapped, ok := s.Hosts[strings.ToLower(host)]; ok {
		address = mapped
		by = by.and("and the hosts file has " + mapped)
	} else if resolved := s.resolve(host); resolved != "" {
		address = resolved
		by = by.and("and the nameserver has " + resolved)
	}
	found := Finding{At: hostport, Because: by.rule, Finds: FindsOther}
	isGoogle := hostname.IsGoogle(hostname.Canonical(hostname.Of(host), s.Universe)) || hostname.IsMetadata(hostname.Of(host)) || host == reach.MetadataAddress
	switch at := net.JoinHostPort(address, port); {
	case s.IsEmulator(scheme, at):
		found.Finds, found.At = FindsEmulator, at
	case isGoogle && address == host:
		found.Finds = FindsGoogle
	}
	return found
}

func (s Surroundings) resolve(host string) string {
	if s.Resolve == nil {
		return ""
	}
	return s.Resolve(host)
}

// trusting changes a finding of the emulator over TLS if the client does not trust its certificate.
func (s Surroundings) trusting(c client, found Finding) Finding {
	file := c.trusted
	for name := range strings.FieldsSeq(c.roots) {
		if value, by := s.setting(name); value != "" {
			file, found.Because = value, found.Because+", "+by
			break
		}
	}
	if (file != "" || c.system) && s.Trusts(file) {
		return found
	}
	found.Finds, found.Change = FindsUntrusted, cmp.Or(c.remedy, byProxy)
	if c.trusted != "" {
		found.Change = "" // no variable names this file
	}
	return found
}

func withPort(host, port string) string {
	host = strings.TrimSuffix(host, "/")
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
