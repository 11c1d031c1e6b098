package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// kind is the kind of a reference server.
type kind string

const (
	constant kind = "constant" // sends the same bytes for every request
	signing  kind = "signing"  // makes one RSA-2048 signature per request

	// referenceCommand is the first argument that makes this program a reference server.
	referenceCommand = "reference"
)

// reference runs a reference server until ctx or the input ends. The input ends if the
// benchmark is killed, so that no process remains.
func reference(ctx context.Context, args []string, stdin io.Reader) error {
	flags := flag.NewFlagSet(referenceCommand, flag.ContinueOnError)
	does := flags.String("kind", string(constant), "constant, signing or signing-grpc")
	listen := flags.String("listen", "127.0.0.1:0", "address to listen on")
	size := flags.Int("size", 0, "bytes in a constant answer")
	header := http.Header{}
	flags.Func("header", "a field of a constant answer's header, \"NAME: VALUE\"", func(text string) error {
		name, value, _ := strings.Cut(text, ": ")
		header.Add(name, value)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // waits for the end, whatever the error
		end()
	}()
	handler := constantHandler(*size, header)
	switch kind(*does) {
	case signingRPC:
		return serveSigner(ctx, listener)
	case signing:
		if handler, err = signingHandler(); err != nil {
			return err
		}
	case constant:
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // the process ends with the server
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func constantHandler(size int, header http.Header) http.Handler {
	body := bytes.Repeat([]byte("x"), size)
	length := strconv.Itoa(size)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == metricsPath {
			writeMetrics(w)
			return
		}
		maps.Copy(w.Header(), header)
		w.Header().Set("Content-Length", length)
		_, _ = w.Write(body) // the loader detects missing bytes
	})
}

func signingHandler() (http.Handler, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == metricsPath {
			writeMetrics(w)
			return
		}
		digest := sha256.Sum256([]byte(r.RequestURI))
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, base64.RawURLEncoding.EncodeToString(signature)) // the loader detects missing bytes
	}), nil
}

// writeMetrics writes the number of allocations as the emulator does.
func writeMetrics(w http.ResponseWriter) {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	_, _ = fmt.Fprintf(w, "%s %d\n", mallocs, memory.Mallocs) // the loader detects missing bytes
}
