package oauthapi

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// TokenParameters returns the names of the parameters that hold a token. In JSON, the Security
// Token Service also takes the names in camel case.
func TokenParameters() []string {
	return []string{
		"access_token", "actor_token", "assertion", "id_token", "refresh_token", "subject_token", "token",
		"actorToken", "refreshToken", "subjectToken",
	}
}

// withBareTokens returns the parameters without white space around the tokens. A shell writes a
// newline after a token in a file, and several clients send the content of a file as it is.
func withBareTokens(parameters url.Values) url.Values {
	const whiteSpace = " \t\n\v\f\r"
	for name, values := range parameters {
		if !slices.Contains(TokenParameters(), name) {
			continue
		}
		for i, token := range values {
			values[i] = strings.Trim(token, whiteSpace)
		}
	}
	return parameters
}

// ReadQuery reads the parameters in the query of r.
func ReadQuery(r *http.Request) url.Values { return withBareTokens(r.URL.Query()) }

// ReadForm reads the parameters in the body of r: form data (RFC 6749), or a JSON object, which
// some clients send instead. As on Google's servers, a body without a content type is form data,
// and a body of any other type has no parameters.
func ReadForm(r *http.Request) (url.Values, error) {
	body, err := wire.ReadBody(r)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 { // of any type
		return nil, nil //nolint:nilnil // no parameters
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case mediaType == "", mediaType == "application/x-www-form-urlencoded":
		values, _ := url.ParseQuery(string(body)) // keep the pairs that can be parsed
		return withBareTokens(values), nil
	case strings.HasSuffix(mediaType, "json"):
		return withBareTokens(readObject(body)), nil
	default:
		return url.Values{}, nil
	}
}

func readObject(body []byte) url.Values {
	var object map[string]any
	_ = json.Unmarshal(body, &object) // other JSON values count as an empty object
	values := url.Values{}
	for name, value := range object {
		if text, ok := value.(string); ok {
			values.Set(name, text)
		}
	}
	return values
}
