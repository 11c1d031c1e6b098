package googleapi

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/unplayed"
	"gcp-metadata-emulator/server/wire"
)

// CheckQuery refuses query parameters unless they are the method's own, or among Google's standard
// parameters (https://cloud.google.com/apis/docs/system-parameters). A standard parameter may begin
// with a dollar sign. It also refuses forms of answers other than JSON.
func CheckQuery(r *http.Request, own ...string) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(own, name) && !slices.Contains(standardParameters(), strings.TrimPrefix(strings.TrimPrefix(name, "$"), ".")) {
			return invalidField("", fmt.Sprintf(
				`Invalid JSON payload received. Unknown name "%[1]s": Cannot bind query parameter. Field '%[1]s' could not be found in request message.`,
				shortened(name)))
		}
	}
	if form, _, _ := strings.Cut(standard(query, "alt"), ";"); form != "" && form != "json" {
		return InvalidArgument(fmt.Sprintf(`Invalid value "%s" for query parameter "alt". The emulator answers in JSON.`, shortened(form)))
	}
	return nil
}

// InvalidSelection returns the error for an excerpt of a selection of fields that cannot be read.
func InvalidSelection(selection string) error {
	return InvalidArgument("Invalid field selection " + selection)
}

// CheckPlayed refuses query parameters of Google's method that the emulator would ignore.
func CheckPlayed(r *http.Request, names ...string) error {
	query := r.URL.Query()
	for _, name := range names {
		if query.Get(name) != "" {
			why := unplayed.Parameter(name)
			return InvalidArgument(unplayed.Body(why)).Because(why)
		}
	}
	return nil
}

func standardParameters() []string {
	return []string{
		"access_token", "alt", "apiVersion", "bearer_token", "callback", "ct", "fields", "httpHeaders", "key", "oauth_token",
		"outputDefaults", "pp", "prettyPrint", "quotaUser", "trace", "unique", "upload_protocol", "uploadType", "userIp", "userProject", "xgafv",
	}
}

// standard returns the value of a standard parameter under either of its names.
func standard(query url.Values, name string) string {
	if value := query.Get(name); value != "" {
		return value
	}
	return query.Get("$" + name)
}

// Reply returns a successful answer in the form that the request asks for: indented, unless the
// request has prettyPrint=false.
func Reply(r *http.Request, value any) wire.Response {
	response := JSON(value)
	if strings.Contains(r.URL.RawQuery, "prettyPrint") && standard(r.URL.Query(), "prettyPrint") == "false" {
		response.Body = wire.Compact(value)
	}
	return response
}

// QueryBool returns the value of a boolean parameter; false if it is missing. Python's clients write
// booleans with a capital letter.
func QueryBool(r *http.Request, name string) (bool, error) {
	switch text := r.URL.Query().Get(name); strings.ToLower(text) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, InvalidArgument(fmt.Sprintf("Invalid value at '%s' (TYPE_BOOL), %q", name, shortened(text)))
	}
}
