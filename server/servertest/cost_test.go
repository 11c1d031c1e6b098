package servertest_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/servertest"
	"gcp-metadata-emulator/server/token"
)

// A client that keeps its connection open must not delay the end of a test.
func TestHalfARequest(t *testing.T) {
	t.Parallel()
	for _, half := range []string{"", "POST /token HT", "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ngrant"} {
		test := &exampleT{TB: t}
		emu := servertest.New(test)
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(emu.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, half); err != nil {
			t.Fatal(err)
		}
		emu.Metadata("instance/name") // by now the other connection has been accepted
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			test.end()
		}()
		select {
		case <-ended:
		case <-time.After(patience): // a server that lets clients finish waits for ever
			t.Errorf("after %q the emulator goes on", half)
			<-ended
		}
	}
}

// An emulator that stops also stops the generation of its keys, including the keys for defective
// tokens. No other test runs at the same time.
func TestNoKeyIsInTheMaking(t *testing.T) { //nolint:paralleltest // other tests generate keys
	for _, defect := range []token.Defect{token.NoDefect, token.UnknownKey} {
		test := &exampleT{TB: t}
		servertest.New(test, servertest.OwnKeys()).Mint(servertest.Order{Kind: token.KindID, Audience: "x", Defect: defect})
		test.end()
		stacks := make([]byte, 1<<20)
		if stacks = stacks[:runtime.Stack(stacks, true)]; bytes.Contains(stacks, []byte("rsa.GenerateKey")) {
			t.Errorf("a key is in the making after a token with defect %q:\n%s", defect, stacks)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		servertest.New(b)
	}
}

// The first signature of an emulator certifies its active and its next key.
func BenchmarkFirstToken(b *testing.B) {
	for b.Loop() {
		servertest.New(b).Mint(servertest.Order{Kind: token.KindID, Audience: "x"})
	}
}
