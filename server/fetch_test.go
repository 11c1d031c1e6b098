package server_test

import (
	"cmp"
	"io"
	"net/http"
	"testing"
)

// fetch asks for a resource as a metadata client of Go's does, and under another host's name
// where one is given.
func fetch(t *testing.T, client *http.Client, url, host string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = cmp.Or(host, request.Host)
	request.Header.Set("Metadata-Flavor", "Google")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// metadata asks the default instance's metadata server for what is below its version.
func (e *emulator) metadata(t *testing.T, path string) (int, string) {
	t.Helper()
	return fetch(t, e.Client(), e.URL+"/computeMetadata/v1/"+path, "")
}

// read asks the metadata server of an instance.
func (e *emulator) read(t *testing.T, instance, path string) (int, string) {
	t.Helper()
	return fetch(t, e.Client(), e.URL+path, instance+".localhost")
}

// ask is read for what has to be there.
func (e *emulator) ask(t *testing.T, instance, path string) string {
	t.Helper()
	status, body := e.read(t, instance, path)
	if status != http.StatusOK {
		t.Fatalf("%s of %s: status %d\n%s", path, instance, status, body)
	}
	return body
}
