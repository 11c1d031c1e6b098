package door_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"gcp-metadata-emulator/server/door"
)

// A piece of an answer is the client's before the next one is made, whether the service said how long
// the answer will be or not.
func TestPieces(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]http.Header{
		"events":         {"Content-Type": {"text/event-stream"}},
		"no length":      {"Content-Type": {"text/plain"}},
		"a known length": {"Content-Type": {"text/plain"}, "Content-Length": {"24"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testPieces(t, header)
		})
	}
}

func testPieces(t *testing.T, header http.Header) {
	t.Helper()
	next := make(chan struct{})
	r := start(t, "authentication: none", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), header)
		for n := range 3 {
			fmt.Fprintf(w, "data: %d\n", n)
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}))
	answer, err := r.Client().Do(get(t, r.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for n := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", n) {
			t.Fatalf("piece %d is %q, %v", n, lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
}

// webSocket answers an upgrade, and sends back what it gets.
func webSocket(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(conn, buffered)
}

const upgrade = "GET /socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// say sends a word through a socket, and reads its echo.
func say(conn net.Conn, reader *bufio.Reader, word string) error {
	if _, err := io.WriteString(conn, word+"\n"); err != nil {
		return err
	}
	echoed, err := reader.ReadString('\n')
	if err == nil && echoed != word+"\n" {
		return fmt.Errorf("the echo of %q is %q", word, echoed)
	}
	return err
}

func TestWebSockets(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(webSocket))
	sockets := 2000
	if testing.Short() {
		sockets = 50
	}
	type socket struct {
		net.Conn

		reader *bufio.Reader
	}
	var open []socket
	for range sockets {
		conn, reader := raw(t, r.Server, upgrade)
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("socket %d: %v", len(open), err)
		}
		if answer.Body.Close() != nil || answer.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("socket %d: status %d", len(open), answer.StatusCode)
		}
		open = append(open, socket{conn, reader})
	}
	for n, socket := range open {
		if err := say(socket, socket.reader, strconv.Itoa(n)); err != nil {
			t.Fatalf("socket %d of %d that are open: %v", n, len(open), err)
		}
	}
	if seen := r.last(t); seen.Status != http.StatusSwitchingProtocols {
		t.Errorf("it is observed as %+v", seen)
	}
}

// A socket is one request, and ends with the request timeout. On a busy machine, a short timeout may pass
// before the socket is open.
func TestWebSocketTimesOut(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(webSocket))
	for timeout := 100 * time.Millisecond; timeout < time.Hour; timeout *= 2 {
		r.limit(t, timeout)
		_, reader := raw(t, r.Server, upgrade)
		if rest, err := io.ReadAll(reader); strings.HasPrefix(string(rest), "HTTP/1.1 101 ") && (err == nil || errors.Is(err, net.ErrClosed)) {
			return
		} else if !strings.HasPrefix(string(rest), "HTTP/1.1 504 ") {
			t.Fatalf("%q, %v", rest, err)
		}
	}
	t.Error("the service gets 504 whatever its timeout is")
}

// limit gives the service a request timeout that no fixture can.
func (r *rig) limit(t *testing.T, timeout time.Duration) {
	t.Helper()
	service, ok := r.worlds.Load().State.Service("orders")
	if !ok {
		t.Fatal("there is no service")
	}
	service.Timeout = timeout
}

func TestTrailers(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
	}))
	request := get(t, r.URL)
	request.Method, request.Body, request.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader("abc")), -1
	request.Trailer = http.Header{"X-Sum": {"123"}}
	if answer := do(t, r.Client(), request); answer.body != "abc" || answer.Trailer.Get("X-Sum") != "123" {
		t.Errorf("%q %v", answer.body, answer.Trailer)
	}
}

// Trailers that only Google may send do not reach the service, announced or not.
func TestForgedTrailers(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, name := range slices.Sorted(maps.Keys(r.Trailer)) {
			fmt.Fprintln(w, name, r.Trailer.Get(name))
		}
	})
	forwarding := start(t, "authentication: none", handler)
	for name, server := range map[string]*httptest.Server{
		"forwarded": forwarding.Server, "in this process": serve(t, forwarding.doors.Before("orders", handler)),
	} {
		_, reader := raw(t, server, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Goog-Iap-Jwt-Assertion\r\n\r\n"+
			"1\r\na\r\n0\r\nX-Sum: 7\r\nX-Goog-Iap-Jwt-Assertion: a\r\nX_goog_authenticated_user_email: a\r\nX-Serverless-Other: a\r\n\r\n")
		if got := read(t, reader); got.StatusCode != http.StatusOK || got.body != "X-Sum 7\n" {
			t.Errorf("%s: %d %q", name, got.StatusCode, got.body)
		}
	}
}

// gRPC over HTTP/2 without TLS, from end to end: streams both ways, statuses in trailers.
func TestGRPC(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	upstream := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(upstream, health.NewServer())
	reflection.Register(upstream)
	go func() { _ = upstream.Serve(listener) }()
	t.Cleanup(upstream.Stop)

	r := startAt(t, `authentication: none, http2: true, upstream: "http://`+listener.Addr().String()+`"`, door.Config{})
	conn, err := grpc.NewClient(r.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", answer, err)
	}
	for range 100 { // a header that is flushed on its own loses a race only sometimes
		_, err = grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "unknown"})
		if status.Code(err) != codes.NotFound || status.Convert(err).Message() != "unknown service" {
			t.Fatalf("an error arrives as %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second question after the first answer
		if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
			MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
		}); err != nil {
			t.Fatal(err)
		}
		if listed, err := stream.Recv(); err != nil || len(listed.GetListServicesResponse().GetService()) == 0 {
			t.Fatalf("%v, %v", listed, err)
		}
	}
}

// A refusal is an error of gRPC to its clients.
func TestGRPCRefused(t *testing.T) {
	t.Parallel()
	r := start(t, "http2: true", http.NotFoundHandler())
	conn, err := grpc.NewClient(r.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("it is refused with %v", err)
	}
}

// A body is sent only if the upstream wants it.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	r := start(t, "authentication: none", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	const rest = " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
	_, reader := raw(t, r.Server, "POST /no"+rest)
	if line, err := reader.ReadString('\n'); line != "HTTP/1.1 417 Expectation Failed\r\n" {
		t.Errorf("the first answer is %q, %v", line, err)
	}
	conn, reader := raw(t, r.Server, "POST /yes"+rest)
	if line, err := reader.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("the first answer is %q, %v", line, err)
	}
	if _, err := io.WriteString(conn, "abc"); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ReadString('\n'); err != nil { // the line after the header of the 100
		t.Fatal(err)
	}
	if answer := read(t, reader); answer.body != "abc" {
		t.Errorf("%d %q", answer.StatusCode, answer.body)
	}
}
