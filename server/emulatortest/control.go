package emulatortest

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
)

// ServeControl gives the control plane an address of its own.
func (e *Emulator) ServeControl(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- e.Server.ServeControl(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// StatusAt sends an operation, such as "GET /emulator/v1/livez", to an address, with names and values
// of headers, and returns the status.
func StatusAt(t *testing.T, address, operation string, header ...string) int {
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
