// Package partial cuts answers in JSON down to the fields that a request asks for: Google's partial
// responses (https://cloud.google.com/compute/docs/api/how-tos/performance#partial-response).
//
// It works on the bytes of an answer and does not know which fields an answer can have: if an
// answer lacks a name, the name selects nothing.
package partial

import (
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// maskHeader is the canonical form of X-Goog-FieldMask, because Header.Get would make it for every
// request.
const maskHeader = "X-Goog-Fieldmask"

// Answers wraps a handler. Its successful answers in JSON then have only the fields that a request
// selects (https://cloud.google.com/apis/docs/system-parameters). If a selection cannot be read, the
// request does not reach the handler, and refuse makes the surface's error for an excerpt of the
// selection.
func Answers(refuse func(selection string) error, handle wire.Handler) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
		text := requested(r)
		if text == "" {
			return handle(r)
		}
		selection, err := Parse(text)
		if err != nil {
			journal.Refuse(r.Context(), journal.Refusal{
				Code:   reason.InvalidArgument,
				Reason: `the parameter "fields" cannot be read: ` + err.Error(),
				Hint:   `write names with commas between them, as in "kind,items(name,networkInterfaces/networkIP)"`,
			})
			return wire.Response{}, refuse(excerpt(text))
		}
		response, err := handle(r)
		if err == nil && isCut(&response) {
			response.Body = selection.Of(response.Body)
		}
		return response, err
	}
}

func excerpt(selection string) string {
	const longest = 100
	if len(selection) > longest {
		selection = selection[:longest] + "..."
	}
	return strings.ToValidUTF8(selection, "\uFFFD")
}

// requested returns the selection of a request, or nothing.
func requested(r *http.Request) string {
	if strings.Contains(r.URL.RawQuery, "fields") {
		query, _ := url.ParseQuery(r.URL.RawQuery)
		for _, name := range []string{"fields", "$fields"} {
			if text := query.Get(name); text != "" {
				return text
			}
		}
	}
	if mask := r.Header[maskHeader]; len(mask) > 0 {
		return mask[0]
	}
	return ""
}

func isCut(response *wire.Response) bool {
	const successes, next = 200, 300
	isSuccess := response.Status == 0 || response.Status >= successes && response.Status < next
	return isSuccess && strings.HasPrefix(response.ContentType, "application/json")
}
