package door_test

import (
	"net/http"
	"testing"
)

// Requests that name no path, or ask for a tunnel, do no harm.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(echo))
	for line, want := range map[string]int{
		"OPTIONS * HTTP/1.1": http.StatusOK, "CONNECT example.com:443 HTTP/1.1": http.StatusMethodNotAllowed,
		"GET http://h HTTP/1.1": http.StatusOK, "BREW / HTTP/1.0": http.StatusOK, "HEAD / HTTP/1.1": http.StatusOK,
	} {
		_, reader := raw(t, r.Server, line+"\r\nHost: h\r\nConnection: close\r\n\r\n")
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if _ = answer.Body.Close(); answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", line, answer.StatusCode, want)
		}
	}
}
