package googleapi

import (
	"net/http"
	"net/url"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/wire"
)

// FromOwnPages refuses changes by web pages on the internet. It allows changes by the pages of the
// emulator and of this machine. Without this rule, such a page would need no token of the user's,
// because the emulator may accept any bearer token
// (https://developer.mozilla.org/docs/Web/Security/Attacks/CSRF).
func FromOwnPages(handle wire.Handler) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
		origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
		switch {
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
		case origin != "" && origin != wire.BaseURL(r) && !isLocal(origin):
			return wire.Response{}, foreign("The emulator lets no web page of " + origin + " change anything.")
		case origin == "" && (site == "cross-site" || site == "same-site"):
			return wire.Response{}, foreign("The emulator lets no web page of another site change anything.")
		}
		return handle(r)
	}
}

func foreign(message string) error {
	return PermissionDenied(message).Because(journal.Refusal{Code: reason.ForeignOrigin, Reason: message})
}

func isLocal(origin string) bool {
	parsed, err := url.Parse(origin)
	return err == nil && hostname.IsLoopback(hostname.Of(parsed.Host))
}
