package load_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 5\r\n\r\nhello"

// TestResponses reads the same answers in whole, byte by byte, and with the
// end of input arriving together with the last bytes.
func TestResponses(t *testing.T) {
	splits := map[string]func(io.Reader) io.Reader{
		"whole":    func(r io.Reader) io.Reader { return r },
		"bytes":    iotest.OneByteReader,
		"halves":   iotest.HalfReader,
		"data+EOF": iotest.DataErrReader,
	}
	const empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	long := "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200_000)
	for name, split := range splits {
		t.Run(name, func(t *testing.T) {
			responses := load.NewResponses(split(strings.NewReader(ok + empty + long + ok)))
			for i := range 4 {
				if err := responses.Next(); err != nil {
					t.Fatalf("answer %d: %v", i, err)
				}
			}
			if err := responses.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("at the end: got %v", err)
			}
		})
	}
}

func TestResponsesRefusal(t *testing.T) {
	body := strings.Repeat("0123456789", 30)
	text := "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 300\r\n\r\n" + body
	err := load.NewResponses(iotest.OneByteReader(strings.NewReader(text))).Next()
	var status *load.StatusError
	if !errors.As(err, &status) {
		t.Fatalf("got %v, want a *StatusError", err)
	}
	if status.Status != 503 || status.Body != body[:200] {
		t.Errorf("got %d %q", status.Status, status.Body)
	}
}

func TestResponsesRefuses(t *testing.T) {
	tests := map[string]string{
		"no length":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"negative length": "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"odd length":      "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
		"other version":   "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"odd status":      "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
		"no status":       "hello\r\n\r\n",
		"endless header":  "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100_000),
		"cut body":        ok[:len(ok)-1],
		"cut refusal":     "HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nhel",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if err := load.NewResponses(strings.NewReader(text)).Next(); err == nil {
				t.Error("got no error")
			}
		})
	}
}
