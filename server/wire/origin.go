package wire

import (
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/router/hostname"
)

// IsForeign reports whether a web page on the internet has made a browser send the request. The pages of
// the emulator and of this machine are not foreign. Other programs are not foreign either: they do not send
// the fields with which browsers name the page
// (https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site). Browsers send
// Sec-Fetch-Site only to https:// and to this machine, and do not send Origin for images and links. So
// Referer alone may name the page. A page can leave out Referer too: IsForeign does not see such a request.
func IsForeign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	origin, referer := r.Header.Get("Origin"), r.Referer()
	switch {
	case site == "same-origin" || site == "none": // none: a person typed the URL, or used a bookmark
		return false
	case origin != "":
		return isElsewhere(r, origin)
	case referer != "" && (site != "" || isBrowser(r)):
		return isElsewhere(r, referer)
	default:
		return site != ""
	}
}

// isBrowser reports whether the request is a browser's, as far as it says so. Other programs send Referer
// too: Go's client does after every redirect.
func isBrowser(r *http.Request) bool { return strings.HasPrefix(r.UserAgent(), "Mozilla/") }

// isElsewhere reports whether a page, or an origin, is neither of the emulator nor of this machine.
func isElsewhere(r *http.Request, page string) bool {
	parsed, err := url.Parse(page)
	if err != nil {
		return true
	}
	return parsed.Scheme+"://"+parsed.Host != BaseURL(r) && !hostname.IsLoopback(hostname.Of(parsed.Host))
}
