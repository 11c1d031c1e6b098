package compare

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/script"
)

// Probe is a request to a real server.
type Probe struct {
	Name    string        // of the exchange; empty: it is not of a script
	Request string        // ${NAME} stands for a value that depends on the server
	Rules   []script.Rule // that a difference breaks
}

// line returns the request line. If the request is a POST, its name comes first, because the line alone says less than
// the body.
func (p Probe) line() string {
	line := script.Line(p.Request)
	if strings.HasPrefix(line, http.MethodPost) && p.Name != "" {
		line = p.Name + ": " + line
	}
	return line
}

// Probes returns the scripts' requests to the real server. Without write, it leaves out requests that change something.
// If exchanges for several profiles have the same request, the exchanges for the real server's profile show its rules.
// An exchange without a Host is for a VM. It also shows the rules of other profiles, unless they have such an exchange
// of their own.
func (d *Document) Probes(scripts []script.Script, write bool) []Probe {
	own := d.probesOf(scripts, write, func(isAbout bool) bool { return isAbout || d.Profile == fixtures.GCE })
	for _, p := range d.probesOf(scripts, write, func(isAbout bool) bool { return !isAbout && d.Profile != fixtures.GCE }) {
		if !slices.ContainsFunc(own, p.isLike) {
			own = append(own, p)
		}
	}
	return own
}

// probesOf returns the requests of the wanted exchanges. isWanted decides by whether an exchange is for an instance.
func (d *Document) probesOf(scripts []script.Script, write bool, isWanted func(isAbout bool) bool) []Probe {
	values := d.variables()
	var probes []Probe
	for _, wire := range scripts {
		for _, exchange := range wire.Exchanges {
			_, isAbout := profileOf(exchange.Request)
			isFit := write && d.canWrite(wire.Route, exchange) || d.canRead(wire.Route, exchange)
			request, isBound := bind(exchange.Request, values)
			if isWanted(isAbout) && isFit && isBound {
				probes = added(probes, Probe{Name: exchange.Name, Request: request, Rules: wire.RulesOf(exchange.Name)})
			}
		}
	}
	return probes
}

// added adds a probe, or its rules to the probe with the same request. A probe that shows how the emulator differs on
// purpose is not added.
func added(probes []Probe, p Probe) []Probe {
	isOurs := func(r script.Rule) bool { return slices.Contains(r.Bases, script.Ours) }
	if len(p.Rules) == 0 || slices.ContainsFunc(p.Rules, isOurs) {
		return probes
	}
	if i := slices.IndexFunc(probes, p.isLike); i >= 0 {
		probes[i].Rules = joinedRules(probes[i].Rules, p.Rules)
		return probes
	}
	return append(probes, p)
}

func (p Probe) isLike(other Probe) bool { return p.Request == other.Request }

// canRead reports whether an exchange changes nothing, and is about a server of this profile.
func (d *Document) canRead(route string, exchange script.Exchange) bool {
	method, _, _ := strings.Cut(exchange.Request, " ")
	about, isAbout := profileOf(exchange.Request)
	switch {
	case method != http.MethodGet && method != http.MethodHead, isAbout && about != d.Profile:
		return false
	case route == "mds.guest-attributes":
		return !strings.Contains(exchange.Request, "/ns/") // the check guest-write has a namespace of its own
	case route == "mds.oslogin":
		return !strings.HasPrefix(exchange.Response, "200") // nobody knows the users of the real server
	default:
		return true
	}
}

// canWrite reports whether an exchange is a request to change something that the server must refuse.
func (d *Document) canWrite(route string, exchange script.Exchange) bool {
	about, isAbout := profileOf(exchange.Request)
	return (!isAbout || about == d.Profile) && strings.HasPrefix(exchange.Response, "405") && route != "mds.guest-attributes"
}

// profileOf returns the profile of a request's instance. It returns false if the request is not for an instance.
func profileOf(request string) (fixtures.Profile, bool) {
	found := regexp.MustCompile(`(?m)^Host: ([a-z-]+)\.localhost$`).FindStringSubmatch(request)
	if found == nil {
		return "", false
	}
	switch found[1] {
	case "pod", "annotated-pod":
		return fixtures.GKE, true
	case "service":
		return fixtures.CloudRun, true
	case "function":
		return fixtures.CloudFunctions, true
	case "app":
		return fixtures.AppEngine, true
	default:
		return fixtures.GCE, true
	}
}

// bind replaces variables by the real server's values, and removes the Host of an instance. It returns false if a
// variable has no value.
func bind(request string, values map[string]string) (string, bool) {
	for name, value := range values {
		request = strings.ReplaceAll(request, "${"+name+"}", value)
	}
	request = regexp.MustCompile(`(?m)^Host: (?:[a-z-]+\.)?localhost\n`).ReplaceAllString(request, "")
	return request, !strings.Contains(request, "${")
}

// listed returns the request for an entry in the real server's list. It shows the rules of a check, and the rules of
// the script with the same request.
func (c *comparison) listed(path, check string) Probe {
	p := Probe{Request: script.Get(path)}
	if i := slices.IndexFunc(c.planned, p.isLike); i >= 0 {
		p = c.planned[i]
	}
	p.Rules = joinedRules(p.Rules, c.found.rulesOf(check))
	return p
}

// walk asks for each directory and each value below a directory, as the real server lists them, and
// returns the paths of the values.
func (c *comparison) walk(ctx context.Context, directory string) ([]string, error) {
	listing, err := c.probe(ctx, c.listed(directory, "every-listing"))
	if err != nil || listing.Status != http.StatusOK {
		return nil, c.left(err)
	}
	var values []string
	for name := range strings.Lines(listing.Body) {
		name = strings.TrimSuffix(name, "\n")
		var below []string
		switch {
		case name == "" || name == "token" || name == "identity": // checks compare them
			continue
		case !fixtures.IsEntryName(strings.TrimSuffix(name, "/")): // no request can have it
			continue
		case strings.HasSuffix(name, "/"):
			below, err = c.walk(ctx, directory+name)
		default:
			below, err = c.value(ctx, directory+name)
		}
		if err != nil {
			return nil, err
		}
		values = append(values, below...)
	}
	return values, nil
}

// value asks for a value that a directory lists. It returns its path if it can be read.
func (c *comparison) value(ctx context.Context, path string) ([]string, error) {
	answer, err := c.probe(ctx, c.listed(path, "every-value"))
	switch {
	case err != nil || answer.Status == 0: // the difference is the silence
		return nil, c.left(err)
	case answer.Status != http.StatusOK:
		c.found.add(Difference{
			Aspect: Unreadable, Request: script.Line(script.Get(path)), Real: "is listed, and answers " + brief(answer), Emulated: "lists what can be read",
		}, c.found.rulesOf("every-listing"))
		return nil, nil
	default:
		return []string{path}, nil
	}
}
