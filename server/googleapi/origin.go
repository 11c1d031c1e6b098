package googleapi

import (
	"cmp"
	"net/http"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// FromOwnPages refuses changes by web pages on the internet. It allows changes by the pages of the
// emulator and of this machine. Without this rule, such a page would need no token of the user's,
// because the emulator may accept any bearer token
// (https://developer.mozilla.org/docs/Web/Security/Attacks/CSRF).
func FromOwnPages(handle wire.Handler) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && wire.IsForeign(r) {
			message := "The emulator lets no web page of " + cmp.Or(r.Header.Get("Origin"), "another site") + " change anything."
			return wire.Response{}, PermissionDenied(message).Because(journal.Refusal{Code: reason.ForeignOrigin, Reason: message})
		}
		return handle(r)
	}
}
