package mds

import (
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/world"
)

// instanceOf is the instance whose metadata server a request is meant for: the one whose
// name is the first label of its Host, or the default one.
func instanceOf(r *http.Request, w *world.World) *world.Instance {
	if label, _, ok := strings.Cut(r.Host, "."); ok {
		if instance, ok := w.Instance(strings.ToLower(label)); ok {
			return instance
		}
	}
	return w.DefaultInstance()
}
