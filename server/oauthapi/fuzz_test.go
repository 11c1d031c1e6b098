package oauthapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/wire"
)

// FuzzForm checks that every body is read, or refused as the client's mistake.
func FuzzForm(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", "a=b&a=c&%zz")
	f.Add("application/json", `{"a":"b","a":1,"token":" x "}`)
	f.Add("multipart/form-data; boundary=x", "--x\r\n\r\n--x--")
	f.Add("", "a;b")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		_, err := oauthapi.ReadForm(r)
		if err == nil {
			return
		}
		status := http.StatusInternalServerError
		if known, ok := errors.AsType[*oauthapi.Error](err); ok {
			status = known.Status
		} else if known, ok := errors.AsType[*wire.StatusError](err); ok {
			status = known.Status
		}
		if status >= http.StatusInternalServerError {
			t.Errorf("a body of type %q: %v", contentType, err)
		}
	})
}
