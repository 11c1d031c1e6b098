package googleapi

import (
	"fmt"
	"net/http"

	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/unplayed"
	"gcp-metadata-emulator/server/wire"
)

// NotPlayed returns the error for something that Google has and the emulator does not play. Its status
// is 404, because clients try again after a status of 500 or more.
func NotPlayed(why journal.Refusal) *Error { return NotFound(unplayed.Body(why)).Because(why) }

// NoMethod answers a request to an API if the emulator does not have the method. If Google has the
// method, the answer says that the emulator does not play it. Otherwise the answer is a page with
// 404, for any HTTP method, as Google's front ends send it.
func NoMethod(r *http.Request) (wire.Response, error) {
	asked := requestOf(r)
	if why, known := unplayed.Method(asked); known {
		return wire.Response{}, NotPlayed(why)
	}
	response := errorpage.Page(r, http.StatusNotFound, "")
	response.Refusal = &journal.Refusal{
		Code:   reason.UnknownMethod,
		Reason: fmt.Sprintf("no method has the path %q under the HTTP method %s", asked.Host+asked.Path, asked.Method),
		Hint:   "look for a mistake in the URL or in the HTTP method",
	}
	return response, nil
}

// Unplayed returns a handler that answers requests to Google's methods that the emulator does not play,
// and passes all others on.
func Unplayed(next wire.Handler) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
		if why, known := unplayed.Method(requestOf(r)); known {
			return Dialect().Error(r, NotPlayed(why)), nil
		}
		return next(r)
	}
}

// NoAPI answers a request for a host name of Google under which the emulator plays no API.
func NoAPI(r *http.Request) (wire.Response, error) {
	why, _ := unplayed.Method(requestOf(r))
	return wire.Response{}, NotPlayed(why)
}

// requestOf describes a request. The host is left out if it is not a name of Google: then any API may
// be meant.
func requestOf(r *http.Request) unplayed.Request {
	asked := unplayed.Request{Method: r.Method, Path: r.URL.EscapedPath()}
	if host := hostname.Of(r.Host); hostname.IsGoogle(host) {
		asked.Host = host
	}
	return asked
}
