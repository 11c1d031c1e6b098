package googleapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/googleapi"
)

// FuzzMessage checks that every body is read, or refused as the client's mistake.
func FuzzMessage(f *testing.F) {
	f.Add("application/json", `{"audience":"x","includeEmail":true,"include_email":null}`)
	f.Add("application/x-www-form-urlencoded", "audience=x&include_email=1")
	f.Add("application/json", "[]{}")
	f.Add("", "\xff")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		_, err := googleapi.ReadMessage(r, "audience", "include_email")
		if refused, ok := errors.AsType[*googleapi.Error](err); err != nil && (!ok || refused.Code >= http.StatusInternalServerError) {
			t.Errorf("a body of type %q: %v", contentType, err)
		}
	})
}
