package oauth2

import (
	"net/url"
	"slices"

	"gcp-metadata-emulator/server/router/hostname"
)

// googleURLs returns the URLs of Google's token endpoint.
func googleURLs() []string {
	return []string{
		"https://oauth2.googleapis.com/token",
		"https://oauth2.mtls.googleapis.com/token",
		"https://www.googleapis.com/oauth2/v4/token",
		"https://www.googleapis.com/oauth2/v3/token",
		"https://accounts.google.com/o/oauth2/token",
	}
}

// isOwnURL reports whether an audience is a URL of this token endpoint: Google's, or any URL that
// leads here. An assertion has the URL of its key file as audience, whatever the Host header, and
// the emulator may have written the file for another of its addresses. The request's own Host
// counts too, because somebody may have mapped the port of a container.
func (s *Server) isOwnURL(requested, audience string) bool {
	if slices.Contains(googleURLs(), audience) {
		return true
	}
	parsed, err := url.Parse(audience)
	if err != nil || !slices.Contains(paths(), parsed.Path) || audience != parsed.Scheme+"://"+parsed.Host+parsed.Path {
		return false
	}
	usual, ok := map[string]string{"http": "80", "https": "443"}[parsed.Scheme]
	if port := parsed.Port(); port != "" {
		usual = port
	}
	return ok && (parsed.Host == requested || s.answers(hostname.Of(parsed.Host), usual))
}
