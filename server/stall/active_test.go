package stall_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"

	"gcp-metadata-emulator/server/stall"
)

// A server may have written the settings of HTTP/2 before it reports that a connection is active.
func TestSettingsBeforeActive(t *testing.T) {
	t.Parallel()
	settled, begun, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var conns stall.Conns
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Protocols: &protocols, ConnContext: conns.Context,
		ConnState: func(conn net.Conn, state http.ConnState) {
			if state == http.StateActive {
				<-settled
			}
			conns.Track(conn, state)
		},
		Handler: stall.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-release
			done <- r.Context().Err()
		})),
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(stall.Listener(listener)) }()
	t.Cleanup(func() { _ = server.Close() })
	conn := dial(t, listener.Addr().String())
	if err := requestHTTP2(conn); err != nil {
		t.Fatal(err)
	}
	frames := http2.NewFramer(io.Discard, bufio.NewReader(conn))
	if _, err := frames.ReadFrame(); err != nil { // the settings
		t.Fatal(err)
	}
	close(settled)
	<-begun
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	conns.Drain(ended) // looks once
	close(release)
	if err := <-done; err != nil {
		t.Errorf("the request has ended: %v", err)
	}
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		if _, ok := frame.(*http2.HeadersFrame); ok {
			return
		}
	}
}
