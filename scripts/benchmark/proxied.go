package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

const (
	// proxied is the name of the row of the emulator as a proxy.
	proxied = "signBlob by CONNECT and TLS"
	// compiledIn is the default host of a client.
	compiledIn = "iamcredentials.googleapis.com"
)

// proxied compares the emulator as a proxy with the emulator without one.
func (b *bench) proxied(ctx context.Context, emulator *process) (row, error) {
	request := credentials("signBlob", `{"payload":"aGVsbG8="}`)
	if _, err := emulator.once(ctx, request); err != nil { // makes the key
		return row{}, err
	}
	template := request.Compile(compiledIn)
	template.Dial = connect
	measured := row{
		name: proxied, against: "the emulator, directly",
		ours:   b.newSubject("the emulator as a proxy", emulator, template),
		theirs: b.newSubject("the emulator", emulator, request.Compile(emulator.addr)),
	}
	return measured, b.contest(ctx, measured)
}

// connect opens a tunnel through a proxy, with TLS in it. It does not verify the certificate,
// because the benchmark only measures the cost.
func connect(ctx context.Context, proxy string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", proxy)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: compiledIn})
	err = tunnel(conn)
	if err == nil {
		err = secured.HandshakeContext(ctx)
	}
	if err != nil {
		_ = conn.Close() // no request was sent
		return nil, err
	}
	return secured, nil
}

func tunnel(conn net.Conn) error {
	if _, err := fmt.Fprintf(conn, "CONNECT %[1]s:443 HTTP/1.1\r\nHost: %[1]s:443\r\n\r\n", compiledIn); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	_ = response.Body.Close() // the body is empty
	if response.StatusCode != http.StatusOK {
		return &load.StatusError{Status: response.StatusCode}
	}
	return nil
}
