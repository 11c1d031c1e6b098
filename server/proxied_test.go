package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world"
)

// proxyClient returns a client that uses an emulator as its proxy, at the address of an instance.
func proxyClient(t *testing.T, instance string) *http.Client {
	t.Helper()
	client, _ := proxied(t, instance)
	return client
}

// proxied is proxyClient that returns the emulator too. The emulator forwards requests to the allowed hosts.
func proxied(t *testing.T, instance string, allowed ...hostname.Target) (*http.Client, *server.Server) {
	t.Helper()
	fixture, err := fixtures.Load(filepath.Join("testdata", "fixture.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ring := keys.NewRing("", time.Now)
	ring.Certify(hostname.Domains())
	authority := emulatortest.Must[*keys.Authority](t)(ring.Authority())
	emulator := server.New(server.Config{World: world.New(fixture), Keys: ring, Clock: clock.New(time.Now), Logger: slog.New(slog.DiscardHandler), ProxyAllowed: allowed})
	listener := emulatortest.Must[net.Listener](t)((&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- emulator.ServeInstance(ctx, listener, instance) }()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(authority.Certificate()))
	transport := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: listener.Addr().String()}),
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return &http.Client{Transport: transport}, emulator
}

// The journal says which requests the proxy has refused or could not forward.
func TestProxyRefusalsAreObserved(t *testing.T) {
	t.Parallel()
	var dead hostname.Target
	if err := dead.UnmarshalText([]byte("127.0.0.1:1")); err != nil {
		t.Fatal(err)
	}
	client, emulator := proxied(t, "demo-vm", dead)
	for _, test := range []struct {
		url, reason string
		status      int
		code        reason.Code
	}{
		{"http://127.0.0.2:1/a?access_token=hush", `the emulator does not proxy to host "127.0.0.2"`, http.StatusForbidden, reason.NotProxied},
		{"https://example.com/", `the emulator does not proxy to host "example.com"`, http.StatusForbidden, reason.NotProxied},
		{"http://127.0.0.1:1/", `the emulator cannot reach "127.0.0.1:1": it refuses the connection`, http.StatusBadGateway, reason.Unreachable},
	} {
		request := emulatortest.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, http.NoBody))
		if response, err := client.Do(request); err == nil { // a refused tunnel is an error
			response.Body.Close()
		}
		seen := emulator.Journal.Since(0).Exchanges
		last := seen[len(seen)-1]
		if last.Route != "proxy" || last.Code != test.code || last.Reason != test.reason || last.Status != test.status || last.Hint == "" || strings.Contains(last.Path, "hush") {
			t.Errorf("%s: the journal has %+v", test.url, last)
		}
	}
}

// Programs reach every surface by its compiled-in name, and the address of an instance is a proxy too.
func TestByProxy(t *testing.T) {
	t.Parallel()
	client := proxyClient(t, "other-vm")
	foreign := strings.Join([]string{"ya29", "c", "b0AAAAAA"}, ".")
	for _, test := range []struct {
		method, url, body string
		status            int
		says              string
	}{
		{"GET", "http://metadata.google.internal/computeMetadata/v1/instance/name", "", 200, "other-vm"},
		{"GET", "http://169.254.169.254/computeMetadata/v1/instance/name", "", 200, "other-vm"},
		{"GET", "http://[::ffff:169.254.169.254]/computeMetadata/v1/instance/name", "", 200, "other-vm"},
		{"POST", "https://oauth2.googleapis.com/token", "grant_type=x", 400, "unsupported_grant_type"},
		{"GET", "https://www.googleapis.com/oauth2/v3/certs", "", 200, `"kty": "RSA"`},
		{"GET", "https://accounts.google.com/.well-known/openid-configuration", "", 200, "https://oauth2.googleapis.com/token"},
		{"POST", "https://oauth2.googleapis.com/tokeninfo", "access_token=" + foreign, 403, "looks real"},
		{"GET", "https://www.googleapis.com/emulator/v1/livez", "", 404, "not found"},
		{"GET", "http://127.0.0.1:1/", "", 403, "--proxy-allow 127.0.0.1"},
	} {
		request := emulatortest.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), test.method, test.url, strings.NewReader(test.body)))
		request.Header.Set("Metadata-Flavor", "Google")
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != test.status || !strings.Contains(string(body), test.says) {
			t.Errorf("%s: %d %s, %v; want %d and %q", test.url, response.StatusCode, body, err, test.status, test.says)
		}
	}
}

// A service is reached by its own name, over TLS. A name that no service has gets the page of Cloud
// Run's front end.
func TestServiceByItsName(t *testing.T) {
	t.Parallel()
	client := proxyClient(t, "demo-vm")
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.URL.Path) }))
	t.Cleanup(upstream.Close)
	for _, test := range []struct {
		method, url, body string
		status            int
		says              string
	}{
		{"GET", "https://orders-123456789012.us-central1.run.app/a", "", 404, "<h1>Error: Page not found</h1>"},
		{"POST", "https://us-central1-run.googleapis.com/v2/projects/demo-project/locations/us-central1/services?serviceId=orders", fmt.Sprintf(
			`{"template":{"containers":[{"image":"x"}]},"invokerIamDisabled":true,"annotations":{"gcp-metadata-emulator/upstream":%q}}`, upstream.URL), 200, `"done": true`},
		{"GET", "https://orders-123456789012.us-central1.run.app/a", "", 200, "orders-123456789012.us-central1.run.app/a"},
		{"GET", "https://green---orders-123456789012.us-central1.run.app/a", "", 200, "green---orders-123456789012.us-central1.run.app/a"},
		{"GET", "http://orders-123456789012.us-central1.run.app:8080/a", "", 200, "/a"},
		{"GET", "https://us-central1-demo-project.cloudfunctions.net/orders", "", 404, "<h1>Error: Page not found</h1>"},
	} {
		request := emulatortest.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), test.method, test.url, strings.NewReader(test.body)))
		request.Header.Set("Authorization", "Bearer x")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != test.status || !strings.Contains(string(body), test.says) {
			t.Errorf("%s: %d %s, %v; want %d and %q", test.url, response.StatusCode, body, err, test.status, test.says)
		}
	}
}

// Libraries look for a metadata server with a URL without a path.
func TestPingByProxy(t *testing.T) {
	t.Parallel()
	transport := proxyClient(t, "other-vm").Transport.(*http.Transport)
	address := emulatortest.Must[*url.URL](t)(transport.Proxy(nil)).Host
	for _, target := range []string{"http://metadata.google.internal", "http://169.254.169.254", "http://[::ffff:169.254.169.254]"} {
		conn := emulatortest.Must[net.Conn](t)((&net.Dialer{}).DialContext(t.Context(), "tcp", address))
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nMetadata-Flavor: Google\r\nConnection: close\r\n\r\n", target, strings.TrimPrefix(target, "http://"))
		answer := string(emulatortest.Must[[]byte](t)(io.ReadAll(conn)))
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, "\r\nMetadata-Flavor: Google\r\n") {
			t.Errorf("GET %s: %q", target, answer)
		}
	}
}
