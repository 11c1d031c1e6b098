package oauthapi

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// ReadForm reads the parameters in a request's body: form data, as RFC 6749 wants them,
// or the JSON object that some clients send instead. A body without a content type is
// form data, and one of another type has no parameters, as with Google's servers.
func ReadForm(r *http.Request) (url.Values, error) {
	body, err := wire.ReadBody(r)
	if err != nil {
		return nil, err
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case mediaType == "", mediaType == "application/x-www-form-urlencoded":
		values, _ := url.ParseQuery(string(body)) // what can be read of it
		return values, nil
	case strings.HasSuffix(mediaType, "json"):
		return readObject(body), nil
	default:
		return url.Values{}, nil
	}
}

func readObject(body []byte) url.Values {
	var object map[string]any
	_ = json.Unmarshal(body, &object) // no object is an object without parameters
	values := url.Values{}
	for name, value := range object {
		if text, ok := value.(string); ok {
			values.Set(name, text)
		}
	}
	return values
}
