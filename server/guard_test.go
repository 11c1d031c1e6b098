package server_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server"
)

// No operation of the control plane is for web pages of another origin, or for a name that
// anybody can make their own, whichever address it is served at.
func TestControlPlaneIsGuarded(t *testing.T) {
	t.Parallel()
	e := newEmulatorWith(t, "fixture.yaml", func(config *server.Config) {
		config.PublicURL = func() string { return "http://127.0.0.1:8254" }
	})
	apart := e.serveControl(t)
	together := newEmulator(t).Listener.Addr().String()
	for _, operation := range append(server.ControlOperations(), "GET /emulator/v1/unknown", "OPTIONS /emulator/v1/state") {
		for refused, header := range map[string][]string{
			"another origin":         {"Origin", "https://attacker.example.com"},
			"no origin":              {"Origin", "null"},
			"the same with TLS":      {"Origin", "https://localhost"},
			"another site":           {"Sec-Fetch-Site", "cross-site"},
			"another port":           {"Sec-Fetch-Site", "same-site"},
			"a foreign host":         {"Host", "attacker.example.com"},
			"a name of Google's":     {"Host", "metadata.google.internal"},
			"the metadata's address": {"Host", "169.254.169.254"},
			"an instance's name":     {"Host", "demo-vm"},
		} {
			for place, address := range map[string]string{"together": together, "apart": apart} {
				got := statusAt(t, address, operation, header...)
				isOthers := place == "together" && header[0] == "Host" && got >= http.StatusBadRequest // what a name of Google's leads to
				if got != http.StatusForbidden && !isOthers {
					t.Errorf("%s, %s, from %s: status %d", operation, place, refused, got)
				}
			}
		}
	}
	for _, header := range [][]string{{"Host", "localhost:1"}, {"Host", "emulator.test"}, {"Origin", "http://" + apart}, {"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}} {
		if got := statusAt(t, apart, "GET /emulator/v1/livez", header...); got != http.StatusOK {
			t.Errorf("status %d with %s", got, header)
		}
	}
}

// The control plane is in one place.
func TestControlPlaneApart(t *testing.T) {
	t.Parallel()
	e := newEmulatorWith(t, "fixture.yaml", func(config *server.Config) {
		config.PublicURL = func() string { return "http://127.0.0.1:8254" }
	})
	apart := e.serveControl(t)
	for _, operation := range server.ControlOperations() {
		method, _, _ := strings.Cut(operation, " ")
		main := e.Listener.Addr().String()
		if got, nowhere := statusAt(t, main, operation), statusAt(t, main, method+" /nowhere"); got != nowhere {
			t.Errorf("%s on the main address: status %d, and %d where nothing is", operation, got, nowhere)
		}
	}
	for _, path := range []string{"/", "/computeMetadata/v1/", "/token", "/oauth2/v3/certs"} {
		if got := statusAt(t, apart, "GET "+path, "Metadata-Flavor", "Google"); got != http.StatusNotFound {
			t.Errorf("%s at the control plane: status %d", path, got)
		}
	}
}

// serveControl gives the control plane an address.
func (e *emulator) serveControl(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- e.server.ServeControl(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// statusAt asks for an operation, METHOD PATH, with the header fields given.
func statusAt(t *testing.T, address, operation string, header ...string) int {
	t.Helper()
	method, path, _ := strings.Cut(operation, " ")
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
