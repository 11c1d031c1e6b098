package script_test

import (
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/server/script"
)

// A client asks servers with TLS whose certificate it can verify, and counts the requests to all servers.
func TestClient(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+r.URL.Path) })
	secure, plain := httptest.NewUnstartedServer(handler), httptest.NewServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail
	secure.StartTLS()
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	client := script.NewClient(parsed(t, secure.URL), time.Now)
	client.Limit = 3
	if _, err := client.Ask(t.Context(), "GET /a\n\n"); err == nil {
		t.Error("a certificate of an unknown authority is accepted")
	}
	client.Roots = x509.NewCertPool()
	client.Roots.AddCert(secure.Certificate())
	for _, server := range []*httptest.Server{secure, plain} {
		at := parsed(t, server.URL)
		client.Lead(at)
		answer, err := client.Ask(t.Context(), "GET /b\n\n")
		if want := at.Host + "/b"; err != nil || answer.Body != want {
			t.Errorf("%s: %q, %v, want %q", server.URL, answer.Body, err, want)
		}
	}
	if _, err := client.Ask(t.Context(), "GET /c\n\n"); err != script.ErrLimit { //nolint:errorlint // it must not be wrapped
		t.Errorf("the fourth request: %v", err)
	}
}

// A client sends no more requests to a server that fails too often in a row, but each answer of the server is a new beginning, an error too.
func TestPatience(t *testing.T) {
	t.Parallel()
	statuses := []int{504, 500, 504, 503, 502, 0, 504}
	var sent atomic.Int64
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := statuses[sent.Add(1)-1]
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(served.Close)
	client := script.NewClient(parsed(t, served.URL), time.Now)
	client.Patience = 3
	for i, status := range statuses {
		if answer, err := client.Ask(t.Context(), "GET /a\n\n"); answer.Status != status || (err != nil) != (status == 0) {
			t.Errorf("request %d: status %d, %v, want the status %d", i, answer.Status, err, status)
		}
	}
	_, err := client.Ask(t.Context(), "GET /a\n\n")
	if _, isGone := errors.AsType[*script.GoneError](err); !isGone || int(sent.Load()) != len(statuses) || !strings.HasSuffix(err.Error(), ": status 504") {
		t.Errorf("after %d requests, the error is %v", sent.Load(), err)
	}
}

func parsed(t *testing.T, text string) *url.URL {
	t.Helper()
	at, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
