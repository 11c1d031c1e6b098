package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/outward/outwardtest"
	"gcp-metadata-emulator/server/proxy"
)

func TestOthersAreRefused(t *testing.T) {
	t.Parallel()
	e := start(t, "allowed.example.com")
	if status, body := get(t, e.client(t, http1), "http://example.com/"); status != http.StatusForbidden ||
		body != "The emulator does not proxy to host \"example.com\".\nhint: start it with --proxy-allow example.com\n" {
		t.Errorf("%d %q", status, body)
	}
	for target, want := range map[string]int{
		"example.com:443":      http.StatusForbidden,
		"127.0.0.1:1":          http.StatusForbidden,
		"googleapis.com.x:443": http.StatusForbidden,
		"example.com":          http.StatusBadRequest,
		":443":                 http.StatusBadRequest,
	} {
		if status, _, err := connect(dial(t, e.address), target); err != nil || status != want {
			t.Errorf("CONNECT %s: %d, %v; want %d", target, status, err, want)
		}
	}
	response, err := e.client(t, http1).Get("https://example.com/")
	if err == nil {
		response.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "Forbidden") {
		t.Errorf("a client sees %v", err)
	}
}

// Requests to a listed host are passed on, even if it is Google's. A listed port excludes other
// ports.
func TestAllowedTargets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		allowed, target string
		passed          bool
	}{
		{"storage.googleapis.invalid", "storage.googleapis.com:443", false},
		{"storage.googleapis.com", "storage.googleapis.com:443", true},
		{"storage.googleapis.com", "oauth2.googleapis.com:443", false},
		{"storage.googleapis.com:443", "storage.googleapis.com:443", true},
		{"storage.googleapis.com:443", "storage.googleapis.com:80", false},
		{"*.googleapis.com", "oauth2.googleapis.com:443", true},
		{"*", "oauth2.googleapis.com:443", false},
		{"*", "metadata.google.internal:80", false},
		{"*.com", "storage.googleapis.com:443", false},
		{"*.internal", "metadata.google.internal:80", false},
		{"169.254.0.0/16", "169.254.169.254:80", false},
		{"169.254.169.254", "169.254.169.254:80", true},
	} {
		e := start(t, test.allowed)
		p := e.proxy
		dialled := make(chan string, 1)
		proxy.SetDial(p, func(_ context.Context, _, address string) (net.Conn, error) {
			dialled <- address
			return nil, io.EOF
		})
		status, _, err := connect(dial(t, e.address), test.target)
		if want := map[bool]int{false: http.StatusOK, true: http.StatusBadGateway}[test.passed]; err != nil || status != want {
			t.Errorf("with %s, CONNECT %s: %d, %v", test.allowed, test.target, status, err)
		}
		if passed := len(dialled) == 1; passed != test.passed {
			t.Errorf("with %s, %s is passed on: %v", test.allowed, test.target, passed)
		}
	}
	// The emulator keeps its own address.
	e := start(t, "127.0.0.1")
	if status, body := get(t, e.client(t, http1), "http://"+e.address+"/x"); status != http.StatusOK || !strings.Contains(body, "proxied=true") {
		t.Errorf("%d %q", status, body)
	}
	// A listed port counts for other hosts too.
	e = start(t, "127.0.0.1:1", "*.example.com:443")
	for _, target := range []string{"127.0.0.1:2", "a.example.com:80"} {
		if status, _, err := connect(dial(t, e.address), target); err != nil || status != http.StatusForbidden {
			t.Errorf("CONNECT %s: %d, %v", target, status, err)
		}
		if status, _ := get(t, e.client(t, http1), "http://"+target+"/"); status != http.StatusForbidden {
			t.Errorf("GET %s: %d", target, status)
		}
	}
}

// Requests to allowed hosts are passed on unchanged.
func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	e := start(t, "127.0.0.1")
	plain, secure := httptest.NewServer(http.HandlerFunc(echo)), httptest.NewTLSServer(http.HandlerFunc(echo))
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	client := e.client(t, func(transport *http.Transport) {
		transport.TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig
	})
	for _, base := range []string{plain.URL, secure.URL} {
		host := strings.TrimPrefix(strings.TrimPrefix(base, "http://"), "https://")
		want := fmt.Sprintf("HTTP/1.1 GET %s/a?b=%%20 proxied=false tls=%v forwarded=[]", host, base == secure.URL)
		if status, body := get(t, client, base+"/a?b=%20"); status != http.StatusOK || body != want {
			t.Errorf("%d %q, want %q", status, body, want)
		}
	}
	gone := listen(t)
	gone.Close()
	want := fmt.Sprintf("The emulator cannot reach %q: it refuses the connection.\n", gone.Addr())
	if status, body := get(t, client, "http://"+gone.Addr().String()+"/"); status != http.StatusBadGateway || body != want {
		t.Errorf("%d %q, want %q", status, body, want)
	}
	if status, _, err := connect(dial(t, e.address), gone.Addr().String()); err != nil || status != http.StatusBadGateway {
		t.Errorf("%d, %v", status, err)
	}
}

// Whatever resolves to it, the proxy connects to no metadata server, unless its address is named.
func TestMetadataServersAreSpared(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ allowed, target, leadsTo string }{
		{"*", "rebound.example.com:80", "169.254.169.254"},
		{"*", "169.254.7.7:80", "169.254.7.7"},
		{"*", "[::ffff:169.254.7.7]:80", "169.254.7.7"},
		{"*", "[fd00:ec2::254]:80", "fd00:ec2::254"},
		{"*:80", "100.100.100.200:80", "100.100.100.200"},
		{"*.example.com", "rebound.example.com:80", "169.254.169.254"},
		{"rebound.example.com", "rebound.example.com:80", "169.254.169.254"},
		{"169.254.7.7:80", "169.254.7.7:80", ""},
		{"metadata.google.internal", "metadata.google.internal:80", ""},
	} {
		e := start(t, test.allowed)
		dialer := outwardtest.Dialer(map[string]netip.Addr{"rebound.example.com": netip.MustParseAddr("169.254.169.254")})
		proxy.SetDial(e.proxy, dialer.DialContext)
		proxy.SetDialNamed(e.proxy, func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED })
		want, says := http.StatusForbidden, "it leads to "+test.leadsTo+", "
		if test.leadsTo == "" {
			want, says = http.StatusBadGateway, "it refuses the connection"
		}
		if status, _, err := connect(dial(t, e.address), test.target); err != nil || status != want {
			t.Errorf("%s, CONNECT %s: %d, %v", test.allowed, test.target, status, err)
		}
		if status, body := get(t, e.client(t, http1), "http://"+test.target+"/"); status != want || !strings.Contains(body, says) {
			t.Errorf("%s, GET %s: %d %q", test.allowed, test.target, status, body)
		}
	}
}

// The proxy adds and removes nothing, in both directions.
func TestForwardedAsItIs(t *testing.T) {
	t.Parallel()
	e := start(t, "127.0.0.1")
	other := listen(t)
	t.Cleanup(func() { other.Close() })
	conn := dial(t, e.address)
	request := "POST http://" + other.Addr().String() + "/a%2Fb?c=%zz;d HTTP/1.1\r\nHost: " + other.Addr().String() + "\r\nForwarded: for=192.0.2.1\r\n" +
		"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\nX-Forwarded-Host: a\r\nX-Forwarded-Proto: https\r\n" +
		"Proxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"
	fmt.Fprint(conn, request)
	there, err := other.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	reader := bufio.NewReader(there)
	var got []string
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
		got = append(got, strings.TrimSpace(line))
	}
	slices.Sort(got)
	want := []string{
		"Connection: close", "Content-Length: 2", "Forwarded: for=192.0.2.1", "Host: " + other.Addr().String(), "POST /a%2Fb?c=%zz;d HTTP/1.1",
		"X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2", "X-Forwarded-Host: a", "X-Forwarded-Proto: https",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
	// A compressed answer stays compressed, with its length.
	const compressed = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	fmt.Fprintf(there, "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(compressed), compressed)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil || string(body) != compressed {
		t.Errorf("%q, %v", body, err)
	}
	wantHeader := http.Header{"Date": {"Thu, 01 Jan 1970 00:00:00 GMT"}, "Content-Encoding": {"gzip"}, "Content-Length": {strconv.Itoa(len(compressed))}}
	if diff := cmp.Diff(wantHeader, answer.Header); diff != "" {
		t.Errorf("the answer (-want +got):\n%s", diff)
	}
}

// Either side can end a tunnel to another host.
func TestPassedTunnelEnds(t *testing.T) {
	t.Parallel()
	e := start(t, "127.0.0.1")
	other := listen(t)
	t.Cleanup(func() { other.Close() })
	conn := dial(t, e.address)
	if status, _, err := connect(conn, other.Addr().String()); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v", status, err)
	}
	there, err := other.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	fmt.Fprint(conn, "ping")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(there); err != nil || string(got) != "ping" {
		t.Errorf("%q, %v", got, err)
	}
	fmt.Fprint(there, "pong")
	there.Close()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "pong" {
		t.Errorf("%q, %v", got, err)
	}
}
