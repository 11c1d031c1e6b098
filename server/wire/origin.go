package wire

import (
	"cmp"
	"net/http"
	"net/url"

	"gcp-metadata-emulator/server/router/hostname"
)

// IsForeign reports whether a web page on the internet has made a browser send the request. The pages
// of the emulator and of this machine are not foreign. Other programs are not either: they send none
// of the fields by which browsers say who asks
// (https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site).
func IsForeign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if site == "same-origin" || site == "none" { // none: a person typed the URL, or used a bookmark
		return false
	}
	origin := r.Header.Get("Origin")
	if site != "" {
		origin = cmp.Or(origin, r.Referer()) // a request to show a page has no Origin
	}
	if origin != "" {
		return origin != BaseURL(r) && !isLocal(origin)
	}
	return site != ""
}

func isLocal(page string) bool {
	parsed, err := url.Parse(page)
	return err == nil && hostname.IsLoopback(hostname.Of(parsed.Host))
}
