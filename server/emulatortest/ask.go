package emulatortest

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Ask requests a path from a handler, as a client of the metadata server does.
func Ask(ctx context.Context, handler http.Handler, path string) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, http.NoBody)
	request.Header.Set("Metadata-Flavor", "Google")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

// Send sends a handler a body.
func Send(ctx context.Context, handler http.Handler, method, path, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(ctx, method, "http://localhost"+path, strings.NewReader(body))
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

// Post sends a handler a form.
func Post(ctx context.Context, handler http.Handler, path string, form url.Values) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

// Fetch gets a URL as a client of the metadata server does, under the name of another host if one is
// given.
func Fetch(t *testing.T, client *http.Client, url, host string) (status int, body string) {
	t.Helper()
	request := Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody))
	request.Host = cmp.Or(host, request.Host)
	request.Header.Set("Metadata-Flavor", "Google")
	return do(t, client, request)
}

func do(t *testing.T, client *http.Client, request *http.Request) (status int, body string) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read to its end
	return response.StatusCode, string(Must[[]byte](t)(io.ReadAll(response.Body)))
}

// Metadata requests a path below /computeMetadata/v1/ from the metadata server of the default instance.
func (e *Emulator) Metadata(t *testing.T, path string) (status int, body string) {
	t.Helper()
	return Fetch(t, e.web.Client(), e.URL+"/computeMetadata/v1/"+path, "")
}

// Read requests a path from the metadata server of an instance.
func (e *Emulator) Read(t *testing.T, instance, path string) (status int, body string) {
	t.Helper()
	return Fetch(t, e.web.Client(), e.URL+path, instance+".localhost")
}

// MustRead is Read for an entry that must exist.
func (e *Emulator) MustRead(t *testing.T, instance, path string) string {
	t.Helper()
	status, body := e.Read(t, instance, path)
	if status != http.StatusOK {
		t.Fatalf("%s of %s: status %d\n%s", path, instance, status, body)
	}
	return body
}

// Call sends a request to any surface and returns the body of the answer. The status must be 200.
func (e *Emulator) Call(t *testing.T, method, path, body string) string {
	t.Helper()
	request := Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, e.URL+path, strings.NewReader(body)))
	request.Header.Set("Metadata-Flavor", "Google")
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer x")
	}
	status, content := do(t, e.web.Client(), request)
	if status != http.StatusOK {
		t.Fatalf("%s %s: status %d\n%s", method, path, status, content)
	}
	return content
}

// CallJSON is Call for an answer in JSON.
func (e *Emulator) CallJSON(t *testing.T, method, path, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.Call(t, method, path, body)), into); err != nil {
		t.Fatal(err)
	}
}

// Invoke calls a method of a Google API, such as "GET /v1/projects/p", with a bearer token. It returns
// the status of the error, a google.rpc.Code, or "OK".
func (e *Emulator) Invoke(t *testing.T, bearer, call, body string, into any) string {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	request := Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, e.URL+path, strings.NewReader(body)))
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("Content-Type", "application/json")
	status, content := do(t, e.web.Client(), request)
	var failure struct {
		Error struct{ Status string } `json:"error"`
	}
	if status != http.StatusOK {
		into = &failure
	}
	if into != nil {
		if err := json.Unmarshal([]byte(content), into); err != nil {
			t.Fatalf("%s: %v\n%s", call, err, content)
		}
	}
	if status != http.StatusOK {
		return failure.Error.Status
	}
	return "OK"
}

// Do is Invoke on an emulator that accepts every bearer token. The call must succeed.
func (e *Emulator) Do(t *testing.T, call, body string) map[string]any {
	t.Helper()
	var answer map[string]any
	if status := e.Invoke(t, "ya29.x", call, body, &answer); status != "OK" {
		t.Fatalf("%s: %s", call, status)
	}
	return answer
}
