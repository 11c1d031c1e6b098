package oauthapi

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// ReadForm reads the parameters in the body of r: form data (RFC 6749), or the JSON object that
// some clients send instead. As on Google's servers, a body without a content type is form data,
// and a body of any other type has no parameters.
func ReadForm(r *http.Request) (url.Values, error) {
	body, err := wire.ReadBody(r)
	if err != nil {
		return nil, err
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case mediaType == "", mediaType == "application/x-www-form-urlencoded":
		values, _ := url.ParseQuery(string(body)) // keep the pairs that can be parsed
		return values, nil
	case strings.HasSuffix(mediaType, "json"):
		return readObject(body), nil
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
