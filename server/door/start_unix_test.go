//go:build unix

package door_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"gcp-metadata-emulator/server/door"
)

// reserve returns an address at which nothing listens before listen is called. No other program gets the
// address in the meantime.
func reserve(t *testing.T) (address string, listen func() net.Listener) {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(socket), "socket")
	t.Cleanup(func() { _ = file.Close() })
	syscall.CloseOnExec(socket)
	err = syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	bound, nameErr := syscall.Getsockname(socket)
	if err := errors.Join(err, nameErr); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port), func() net.Listener {
		err := syscall.Listen(socket, syscall.SOMAXCONN)
		listener, fileErr := net.FileListener(file)
		if err := errors.Join(err, fileErr); err != nil {
			t.Fatal(err)
		}
		return listener
	}
}

// Requests wait for an upstream that has yet to start, with their bodies.
func TestUpstreamStarts(t *testing.T) {
	t.Parallel()
	address, listen := reserve(t)
	r := startAt(t, `authentication: none, upstream: "http://`+address+`"`, door.Config{Patience: time.Minute})
	replies := make(chan string)
	for range 3 {
		go func() {
			request := get(t, r.URL)
			request.Method, request.Body, request.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader("abc")), 3
			answer, err := r.Client().Do(request)
			if err != nil {
				replies <- err.Error()
				return
			}
			defer answer.Body.Close()
			body, _ := io.ReadAll(answer.Body)
			replies <- fmt.Sprintf("%d %s", answer.StatusCode, body)
		}()
	}
	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if answer, err := r.Client().Do(get(t, r.URL).WithContext(impatient)); err == nil {
		_ = answer.Body.Close()
		t.Errorf("an answer before the start: %d", answer.StatusCode)
	}
	listener := listen()
	upstream := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })}
	go func() { _ = upstream.Serve(listener) }()
	t.Cleanup(func() { _ = upstream.Close() })
	for range 3 {
		if got := <-replies; got != "200 abc" {
			t.Error(got)
		}
	}
}
