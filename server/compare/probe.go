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

// probe is one request to both servers.
type probe struct {
	request string
	rule    script.Rule // that a difference breaks
}

// scripted returns the requests of the scripts that a real server can be asked.
func (c *comparison) scripted() []probe {
	values := c.document.variables()
	seen := map[string]bool{}
	var probes []probe
	for _, wire := range c.scripts {
		for _, exchange := range wire.Exchanges {
			rules := wire.RulesOf(exchange.Name)
			if len(rules) == 0 || slices.Contains(rules[0].Bases, script.Ours) || !c.isFit(wire.Route, exchange) {
				continue
			}
			request, ok := bind(exchange.Request, values)
			if ok && !seen[request] {
				seen[request] = true
				probes = append(probes, probe{request: request, rule: rules[0]})
			}
		}
	}
	return probes
}

// isFit reports whether a real server can be asked an exchange: whether it changes nothing, and whether
// the exchange is about a server of this profile.
func (c *comparison) isFit(route string, exchange script.Exchange) bool {
	method, _, _ := strings.Cut(exchange.Request, " ")
	isRead := method == http.MethodGet || method == http.MethodHead
	about, isAbout := profileOf(exchange.Request)
	switch {
	case isAbout && about != c.document.profile:
		return false
	case route == "mds.guest-attributes":
		return isRead && !strings.Contains(exchange.Request, "/ns/") // the check guest-write has a namespace of its own
	case route == "mds.oslogin":
		return isRead && !strings.HasPrefix(exchange.Response, "200") // nobody knows the users of the real server
	default:
		return isRead || c.write
	}
}

// profileOf returns the profile of the instance that a request of the scripts is for, and whether it is
// for an instance.
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

// bind puts the real server's values in the place of variables, and removes the Host of an instance. It
// returns false if a variable has no value.
func bind(request string, values map[string]string) (string, bool) {
	for name, value := range values {
		request = strings.ReplaceAll(request, "${"+name+"}", value)
	}
	request = regexp.MustCompile(`(?m)^Host: (?:[a-z-]+\.)?localhost\n`).ReplaceAllString(request, "")
	return request, !strings.Contains(request, "${")
}

// walk asks for each directory and each value below a directory, as the real server lists them, and
// returns the paths of the values.
func (c *comparison) walk(ctx context.Context, directory string) ([]string, error) {
	listing, err := c.probe(ctx, probe{request: get(directory), rule: c.found.ruleOf("every-listing")})
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
	answer, err := c.probe(ctx, probe{request: get(path), rule: c.found.ruleOf("every-value")})
	switch {
	case err != nil || answer.Status == 0: // the difference is the silence
		return nil, c.left(err)
	case answer.Status != http.StatusOK:
		c.found.add(Difference{
			Aspect: Unreadable, Request: line(get(path)), Real: "is listed, and answers " + brief(answer), Emulated: "lists what can be read",
		}, c.found.ruleOf("every-listing"))
		return nil, nil
	default:
		return []string{path}, nil
	}
}
