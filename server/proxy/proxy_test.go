package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/proxy"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience limits a wait that would otherwise have no end. It is far longer than any step takes on a
// busy machine.
const patience = 5 * time.Minute

// emulator is a proxy whose handler describes the request.
type emulator struct {
	proxy   *proxy.Proxy
	address string
	tls     string // the address of its TLS listener
	roots   *x509.CertPool
}

// echo answers with a description of the request.
func echo(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	fmt.Fprintf(w, "%s %s %s%s proxied=%v tls=%v forwarded=%q",
		r.Proto, r.Method, r.Host, path, wire.IsProxied(r.Context()), r.TLS != nil, r.Header.Values("X-Forwarded-For"))
}

func newProxy(t *testing.T, ring *keys.Ring, allowed ...string) *proxy.Proxy {
	t.Helper()
	targets := make([]hostname.Target, len(allowed))
	for i, text := range allowed {
		if err := targets[i].UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return proxy.New(proxy.Config{
		Handler: http.HandlerFunc(echo),
		Answers: func(host, port string, at net.Addr) bool {
			return hostname.IsOfGoogle(host) || net.JoinHostPort(host, port) == at.String()
		},
		Authority: ring.Authority,
		Allowed:   targets,
		Logger:    slog.New(slog.DiscardHandler),
		Refused:   func(*http.Request, wire.Response) {},
	})
}

// serve serves a listener as the emulator does.
func serve(p *proxy.Proxy, listener net.Listener) (stop func()) {
	tunnels := proxy.NewTunnels(listener.Addr())
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	requests, cancel := context.WithCancel(context.Background())
	server := &http.Server{
		Handler: p.Handler(tunnels), ConnContext: proxy.ConnContext, Protocols: &protocols,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: patience,
		ErrorLog:    p.ErrorLog(),
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	served.Go(func() { _ = server.Serve(tunnels) })
	return func() {
		cancel()
		_ = server.Close()
		served.Wait()
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func start(t *testing.T, allowed ...string) *emulator {
	t.Helper()
	ring := keys.NewRing("", time.Now)
	ring.Certify(hostname.Domains())
	p := newProxy(t, ring, allowed...)
	plain, secure := listen(t), listen(t)
	t.Cleanup(serve(p, plain))
	t.Cleanup(serve(p, p.TLS(secure)))
	authority, err := ring.Authority()
	if err != nil {
		t.Fatal(err)
	}
	e := &emulator{proxy: p, address: plain.Addr().String(), tls: secure.Addr().String(), roots: x509.NewCertPool()}
	e.roots.AppendCertsFromPEM([]byte(authority.Certificate()))
	return e
}

// client returns a client that sends every request through the proxy.
func (e *emulator) client(t *testing.T, change func(*http.Transport)) *http.Client {
	t.Helper()
	transport := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: e.address}),
		TLSClientConfig: &tls.Config{RootCAs: e.roots},
	}
	change(transport)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func http2(transport *http.Transport) { transport.ForceAttemptHTTP2 = true }

func http1(*http.Transport) {}

// get returns a status and a body.
func get(t *testing.T, client *http.Client, url string) (status int, body string) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func TestGoogleNames(t *testing.T) {
	t.Parallel()
	e := start(t)
	const marks = ` proxied=true tls=%v forwarded=[]`
	for _, test := range []struct {
		name, url, want string
		client          *http.Client
	}{
		{"HTTP/1.1", "https://oauth2.googleapis.com/token?a=b", "HTTP/1.1 GET oauth2.googleapis.com/token?a=b" + fmt.Sprintf(marks, true), e.client(t, http1)},
		{"HTTP/2", "https://sts.us-east1.rep.googleapis.com/v1/token", "HTTP/2.0 GET sts.us-east1.rep.googleapis.com/v1/token" + fmt.Sprintf(marks, true), e.client(t, http2)},
		{"another port", "https://iam.googleapis.com:8443/", "HTTP/1.1 GET iam.googleapis.com:8443/" + fmt.Sprintf(marks, true), e.client(t, http1)},
		{"absolute form", "http://metadata.google.internal/computeMetadata/v1/?a", "HTTP/1.1 GET metadata.google.internal/computeMetadata/v1/?a" + fmt.Sprintf(marks, false), e.client(t, http1)},
		{"the emulator itself", "http://" + e.address + "/x", "HTTP/1.1 GET " + e.address + "/x" + fmt.Sprintf(marks, false), e.client(t, http1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if status, body := get(t, test.client, test.url); status != http.StatusOK || body != test.want {
				t.Errorf("%d %q, want %q", status, body, test.want)
			}
		})
	}
}

// dial opens a connection that ends with the test.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// connect sends CONNECT and returns the status of the answer.
func connect(conn net.Conn, target string) (int, *bufio.Reader, error) {
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target); err != nil {
		return 0, nil, err
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return 0, nil, err
	}
	return response.StatusCode, reader, response.Body.Close()
}

// Node's library sends plain HTTP through CONNECT, to port 80 and to any other.
func TestPlainHTTPInConnect(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, target := range []string{"metadata.google.internal:80", e.address} {
		conn := dial(t, e.address)
		status, reader, err := connect(conn, target)
		if err != nil || status != http.StatusOK {
			t.Fatalf("CONNECT %s: %d, %v", target, status, err)
		}
		for range 2 { // the tunnel stays
			fmt.Fprintf(conn, "GET /a HTTP/1.1\r\nHost: %s\r\n\r\n", target)
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err := errors.Join(err, response.Body.Close()); err != nil {
				t.Fatal(err)
			}
			if want := "HTTP/1.1 GET " + target + "/a proxied=true tls=false forwarded=[]"; string(body) != want {
				t.Errorf("%q, want %q", body, want)
			}
		}
	}
}

// A request without a path means the root, also for other hosts.
func TestAbsoluteFormWithoutPath(t *testing.T) {
	t.Parallel()
	e := start(t, "127.0.0.1")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.RequestURI) }))
	t.Cleanup(other.Close)
	for target, want := range map[string]string{
		"http://metadata.google.internal":     "metadata.google.internal/ proxied=true",
		"http://metadata.google.internal?a=b": "metadata.google.internal/?a=b proxied=true",
		"http://169.254.169.254:80":           "169.254.169.254:80/ proxied=true",
		other.URL:                             `"/"`,
		other.URL + "?a=b":                    `"/?a=b"`,
	} {
		conn := dial(t, e.address)
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, hostOf(t, target))
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || !strings.Contains(string(answer), want) {
			t.Errorf("GET %s: %q, %v", target, answer, err)
		}
	}
}

func hostOf(t *testing.T, target string) string {
	t.Helper()
	parsed, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Host
}

// A client may send data before it gets the answer to CONNECT.
func TestConnectWithRequestAtOnce(t *testing.T) {
	t.Parallel()
	conn := dial(t, start(t).address)
	fmt.Fprintf(conn, "CONNECT metadata:80 HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK\r\n") ||
		!strings.Contains(string(answer), "GET metadata/a proxied=true") {
		t.Errorf("%q, %v", answer, err)
	}
}

// The body of a CONNECT request has no meaning (RFC 9110, section 9.3.6), and does not get into
// the tunnel.
func TestConnectWithBody(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, body := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
		conn := dial(t, e.address)
		fmt.Fprintf(conn, "CONNECT metadata:80 HTTP/1.1\r\nHost: metadata:80\r\n%sGET /a HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n\r\n", body)
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || strings.Contains(string(answer), "proxied=true") {
			t.Errorf("%q: %q, %v", body, answer, err)
		}
	}
}

// gRPC starts with HTTP/2, with or without TLS and a proxy.
func TestHTTP2WithPriorKnowledge(t *testing.T) {
	t.Parallel()
	e := start(t)
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	if _, body := get(t, client, "http://"+e.address+"/a"); body != "HTTP/2.0 GET "+e.address+"/a proxied=false tls=false forwarded=[]" {
		t.Errorf("without a proxy: %q", body)
	}
	conn := dial(t, e.address)
	if status, _, err := connect(conn, "iamcredentials.googleapis.com:80"); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	tunnelled := &http.Transport{Protocols: transport.Protocols, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return conn, nil
	}}
	t.Cleanup(tunnelled.CloseIdleConnections)
	if _, body := get(t, &http.Client{Transport: tunnelled}, "http://iamcredentials.googleapis.com/a"); body != "HTTP/2.0 GET iamcredentials.googleapis.com/a proxied=true tls=false forwarded=[]" {
		t.Errorf("in CONNECT: %q", body)
	}
}

func TestTLSListener(t *testing.T) {
	t.Parallel()
	e := start(t)
	for _, test := range []struct {
		url, want string
		change    func(*http.Transport)
	}{
		{"https://" + e.tls + "/a", "HTTP/1.1 GET " + e.tls + "/a proxied=false tls=true forwarded=[]", http1},
		{"https://" + e.tls + "/a", "HTTP/2.0 GET " + e.tls + "/a proxied=false tls=true forwarded=[]", http2},
		{"https://localhost/a", "HTTP/1.1 GET localhost/a proxied=false tls=true forwarded=[]", http1},
		{"https://sts.googleapis.com/a", "HTTP/1.1 GET sts.googleapis.com/a proxied=false tls=true forwarded=[]", http1},
	} {
		client := e.client(t, func(transport *http.Transport) {
			test.change(transport)
			transport.Proxy = nil
			transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, e.tls)
			}
		})
		if _, body := get(t, client, test.url); body != test.want {
			t.Errorf("%s: %q, want %q", test.url, body, test.want)
		}
	}
}

// A client that connects again can resume its TLS session.
func TestHandshakesResume(t *testing.T) {
	t.Parallel()
	e := start(t)
	config := &tls.Config{RootCAs: e.roots, ServerName: "oauth2.googleapis.com", ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	for i := range 3 {
		conn := dial(t, e.address)
		if status, _, err := connect(conn, "oauth2.googleapis.com:443"); err != nil || status != http.StatusOK {
			t.Fatalf("%d, %v", status, err)
		}
		secured := tls.Client(conn, config)
		if err := ask(secured); err != nil { // the answer brings the ticket
			t.Fatal(err)
		}
		if state := secured.ConnectionState(); state.DidResume != (i > 0) {
			t.Errorf("connection %d resumed: %v", i, state.DidResume)
		}
	}
}

// Clients without a server name get the certificate for the host of their CONNECT.
func TestCertificateWithoutServerName(t *testing.T) {
	t.Parallel()
	e := start(t)
	for target, want := range map[string][]string{
		"sts.googleapis.com:443": {"sts.googleapis.com"},
		e.address:                {"localhost"},
	} {
		conn := dial(t, e.address)
		if status, _, err := connect(conn, target); err != nil || status != http.StatusOK {
			t.Fatalf("%d, %v", status, err)
		}
		secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		if err := secured.Handshake(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, secured.ConnectionState().PeerCertificates[0].DNSNames); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
}

// ask makes one request and reads the answer.
func ask(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: oauth2.googleapis.com\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}
