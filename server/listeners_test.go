package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/emulatortest"
)

// An assertion may be meant for any address of the emulator, as long as the emulator serves it. The
// request comes to localhost, without a port.
func TestAssertionsAreForAnyAddress(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	plain, stopPlain := listening(t, e.Serve)
	secure, stopSecure := listening(t, func(ctx context.Context, listener net.Listener) error { return e.Serve(ctx, e.TLS(listener)) })
	instance, stopInstance := listening(t, func(ctx context.Context, listener net.Listener) error {
		return e.ServeInstance(ctx, listener, "demo-vm")
	})
	control, stopControl := listening(t, e.Server.ServeControl)
	for _, stop := range []func(){stopPlain, stopSecure, stopControl} {
		defer stop()
	}
	key := emulatortest.Must[*keys.Key](t)(e.Keys.User(emulatortest.Worker, emulatortest.WorkerID).Active(t.Context()))
	check := func(audience string, want int) {
		t.Helper()
		got := emulatortest.Post(t.Context(), e.Server, "/token", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
			"assertion":  {emulatortest.Assertion(t, key, map[string]any{"aud": audience})},
		})
		if got.Code != want {
			t.Errorf("audience %q: %d %s, want %d", audience, got.Code, got.Body, want)
		}
	}
	for audience, want := range map[string]int{
		"http://127.0.0.1:" + plain + "/token":              http.StatusOK,
		"http://localhost:" + plain + "/oauth2/v4/token":    http.StatusOK,
		"http://[::1]:" + plain + "/token":                  http.StatusOK,
		"http://127.0.0.2:" + plain + "/token":              http.StatusOK,
		"http://emulator.test:" + plain + "/token":          http.StatusOK,
		"http://demo-vm.localhost:" + plain + "/token":      http.StatusOK,
		"https://localhost:" + secure + "/token":            http.StatusOK,
		"https://emulator.test:" + secure + "/token":        http.StatusOK,
		"http://127.0.0.1:" + instance + "/token":           http.StatusOK,
		"http://metadata.google.internal/token":             http.StatusOK,
		"http://localhost/token":                            http.StatusOK, // the request's own Host
		"http://127.0.0.1/token":                            http.StatusBadRequest,
		"http://127.0.0.1:" + control + "/token":            http.StatusBadRequest,
		"http://example.com:" + plain + "/token":            http.StatusBadRequest,
		"http://10.9.9.9:" + plain + "/token":               http.StatusBadRequest,
		"https://storage.googleapis.com/token":              http.StatusBadRequest,
		"https://oauth2.googleapis.com:" + plain + "/token": http.StatusBadRequest,
	} {
		check(audience, want)
	}
	stopInstance()
	check("http://127.0.0.1:"+instance+"/token", http.StatusBadRequest)
}

// listening serves on a free port of 127.0.0.1 until stop is called.
func listening(t *testing.T, serve func(context.Context, net.Listener) error) (port string, stop func()) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener) }()
	// Any answer shows that the listener is served. A listener for TLS answers with an error.
	conn := emulatortest.Dial(t, listener.Addr().String())
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
