package ingress

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The client IDs of gcloud and of its application default credentials. Every service accepts ID tokens
// with these audiences.
const (
	gcloudClient  = "32555940559.apps.googleusercontent.com"
	defaultClient = "764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com"
)

func isGcloud(audience string) bool { return audience == gcloudClient || audience == defaultClient }

// isFor reports whether one of the audiences is the service.
func (d Door) isFor(audiences []string) bool { return slices.ContainsFunc(audiences, d.isAudience) }

// isAudience reports whether an audience is the service. The path of a URL does not matter, unless the
// service's own URL has one, as the URL of a function does.
func (d Door) isAudience(audience string) bool {
	switch {
	case slices.Contains(d.Service.Audiences, audience), isGcloud(audience), audience == d.Service.Path(d.World.Project):
		return true
	case strings.ContainsAny(audience, "?#"):
		return false
	}
	return slices.ContainsFunc(slices.Concat(d.Service.URLs, d.Addresses), func(address string) bool {
		return isBelow(audience, address)
	})
}

// isBelow reports whether a URL equals a base URL, with or without a path after it.
func isBelow(address, base string) bool {
	rest, ok := strings.CutPrefix(address, base)
	return ok && (rest == "" || rest[0] == '/')
}

// expected returns the audience that callers should ask for.
func (d Door) expected() string {
	if len(d.Service.URLs) == 0 {
		return d.Service.Path(d.World.Project)
	}
	return d.Service.URLs[0]
}

// audienceHint returns the hint if none of the audiences is the service.
func (d Door) audienceHint(audiences []string) string {
	ask := fmt.Sprintf("ask for an ID token with the audience %q", d.expected())
	if len(audiences) == 0 {
		return ask
	}
	audience := audiences[0]
	bare, _, _ := strings.Cut(audience, "?")
	bare, _, _ = strings.Cut(bare, "#")
	parsed, err := url.Parse(bare)
	if err != nil {
		return ask
	}
	switch host := strings.ToLower(parsed.Hostname()); {
	case bare != audience && d.isAudience(bare):
		return fmt.Sprintf("leave the query and the fragment out of the audience: %q", bare)
	case d.isTag(host):
		return fmt.Sprintf("the audience is the service's URL even if a tag is called: %q", d.expected())
	case parsed.Scheme == "http" && d.isAudience("https"+strings.TrimPrefix(bare, "http")):
		return fmt.Sprintf("write https in the audience: %q", "https"+strings.TrimPrefix(bare, "http"))
	case d.Service.IsFunction && strings.HasSuffix(host, ".cloudfunctions.net"):
		return fmt.Sprintf("the audience of a function ends with its name: %q", d.expected())
	}
	if other, ok := d.World.ServiceAt(strings.ToLower(parsed.Hostname()), parsed.EscapedPath()); ok && other != d.Service {
		return fmt.Sprintf("the token is for service %q: %s", other.Name, ask)
	}
	return ask
}

// isTag reports whether a host is a host of the service with the prefix of a tag.
func (d Door) isTag(host string) bool {
	_, untagged, tagged := strings.Cut(host, "---")
	return tagged && d.isAudience("https://"+untagged)
}
