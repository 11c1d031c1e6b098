package purpose

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// isAssertion reports whether a token says that Identity-Aware Proxy has made it.
func isAssertion(text string) bool {
	parsed, err := signer.Parse(text)
	return err == nil && parsed.Claims["iss"] == token.IAPIssuer
}

// cause returns the likely cause of a refusal in one sentence, or "" if the reason says enough.
func (j *Judge) cause(ctx context.Context, q question, purpose string) (string, error) {
	parsed, err := signer.Parse(q.text)
	if err != nil || strings.HasSuffix(q.text, "."+token.RemovedSignature) {
		return "", nil //nolint:nilerr // the reason says that the text is not a JWT, or has no signature
	}
	found, err := j.ofSignature(ctx, q.world, parsed)
	if found != "" || err != nil {
		return found, err
	}
	if found := j.ofClocks(parsed); found != "" {
		return found, nil
	}
	for _, audience := range parsed.Audiences() {
		for _, expected := range j.expected(q, purpose) {
			if found := difference(audience, expected); found != "" {
				return found, nil
			}
		}
	}
	return "", nil
}

// ofSignature returns the cause of a signature that does not match a published key.
func (j *Judge) ofSignature(ctx context.Context, w *world.World, parsed *signer.Parsed) (string, error) {
	if parsed.Claims["iss"] != token.IssuerURL || !parsed.IsRS256() {
		return "", nil
	}
	key, known, err := j.Issuer.GoogleKey(ctx, parsed.KeyID())
	switch {
	case err != nil:
		return "", err
	case !known && isKnown(w, parsed):
		return "another emulator has signed the token, or this one with another state directory: its account is in the fixture, but its key is not published here", nil
	case !known:
		return "real Google has signed the token, or an emulator with another fixture: neither its key nor its account is known here", nil
	case parsed.SignedBy(key):
		return "", nil
	case parsed.MadeBy(key):
		return "the published key made this signature for other content: somebody has changed the header or the claims afterwards", nil
	default:
		return fmt.Sprintf("another key with the same key ID %q has signed the token, or its signature is damaged", parsed.KeyID()), nil
	}
}

// isKnown reports whether the account of a token exists.
func isKnown(w *world.World, parsed *signer.Parsed) bool {
	for _, claim := range []string{"sub", "email"} {
		if text, _ := parsed.Claims[claim].(string); text != "" {
			if _, ok := w.Principal(text); ok {
				return true
			}
		}
	}
	return false
}

// ofClocks returns the cause if the token is valid by another clock.
func (j *Judge) ofClocks(parsed *signer.Parsed) string {
	emulated, machine := j.Clock.Both()
	isValidAt := func(now time.Time) bool {
		from, _ := parsed.Time("iat")
		until, ends := parsed.Time("exp")
		return ends && !now.Before(from) && now.Before(until)
	}
	from, begins := parsed.Time("iat")
	switch {
	case isValidAt(emulated):
		return ""
	case isValidAt(machine):
		return fmt.Sprintf("the emulator's clock reads %s, and the machine's %s: the token is valid by the machine's clock only",
			emulated.UTC().Format(time.RFC3339), machine.UTC().Format(time.RFC3339))
	case begins && emulated.Before(from):
		return "the clock by which the token was issued is ahead of the emulator's, which reads " + emulated.UTC().Format(time.RFC3339)
	default:
		return ""
	}
}

// expected returns the audiences that would do for a purpose.
func (j *Judge) expected(q question, purpose string) []string {
	if host, ok := strings.CutPrefix(purpose, api); ok {
		return []string{"https://" + host + "/"}
	}
	var all []string
	if purpose == OpenID || purpose == Proxy {
		all = append(all, q.audience)
	}
	for _, service := range q.world.Services() {
		if purpose == run+service.Name || purpose == Proxy && iap.Guards(service) {
			all = append(all, service.URLs...)
			all = append(all, service.Audiences...)
		}
	}
	return all
}

// difference returns the small difference between two audiences, or "" if they are equal or have
// little in common.
func difference(got, want string) string {
	if got == want || want == "" {
		return ""
	}
	say := func(what string) string {
		return fmt.Sprintf("the audiences %q and %q differ only by %s", got, want, what)
	}
	switch {
	case strings.TrimSuffix(got, "/") == strings.TrimSuffix(want, "/"):
		return say("the slash at the end")
	case strings.EqualFold(got, want):
		return say("upper and lower case")
	case strings.TrimSpace(got) == strings.TrimSpace(want):
		return say("white space")
	}
	a, errA := url.Parse(got)
	b, errB := url.Parse(want)
	if errA != nil || errB != nil {
		return ""
	}
	if a.Scheme == "" && got == b.Host || b.Scheme == "" && want == a.Host {
		return say("the scheme, which is missing in one")
	}
	if a.Host == "" || b.Host == "" {
		return ""
	}
	return differentURL(a, b, say)
}

// differentURL returns the one difference between two URLs, or "" if there are several.
func differentURL(a, b *url.URL, say func(string) string) string {
	type part struct{ name, a, b string }
	different := ""
	for _, part := range []part{
		{"the scheme", a.Scheme, b.Scheme},
		{"the host name", strings.ToLower(a.Hostname()), strings.ToLower(b.Hostname())},
		{"the port", a.Port(), b.Port()},
		{"the path", strings.TrimSuffix(a.EscapedPath(), "/"), strings.TrimSuffix(b.EscapedPath(), "/")},
		{"the query", a.RawQuery, b.RawQuery},
	} {
		switch {
		case part.a == part.b:
		case different != "" || part.name == "the host name" && !isLoopbackPair(part.a, part.b):
			return ""
		default:
			different = part.name
		}
	}
	if different == "" {
		return ""
	}
	return say(different)
}

// isLoopbackPair reports whether two host names are names of this machine.
func isLoopbackPair(a, b string) bool { return hostname.IsLoopback(a) && hostname.IsLoopback(b) }
