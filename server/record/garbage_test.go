package record_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/record"
)

// Errors about a server that answers garbage do not repeat its words, which can be secrets.
func TestErrorsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	const secret = "pa55word" // in each of the answers
	ok := func(body string) string {
		return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body
	}
	for name, answer := range map[string]string{
		"no HTTP":           secret + "\r\n\r\n",
		"no status":         "HTTP/1.1 " + secret + "\r\n\r\n",
		"no field":          "HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n",
		"no length":         "HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"no encoding":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
		"no chunk":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n",
		"an error":          "HTTP/1.1 500 " + secret + "\r\n\r\n" + secret,
		"no JSON":           ok(secret),
		"a text":            ok(`"` + secret + `"`),
		"no instance":       ok(`{"` + secret + `":1}`),
		"an odd instance":   ok(`{"instance":"` + secret + `"}`),
		"an odd account":    ok(`{"instance":{"serviceAccounts":{"default":{"email":"` + secret + ` ` + secret + `"}},"id":"` + secret + ` ` + secret + `"}}`),
		"an odd name":       ok(`{"instance":{"id":1,"name":"` + secret + ` ?"}}`),
		"an odd attachment": ok(`{"instance":{"id":1,"serviceAccounts":{"default":"` + secret + `"}}}`),
	} {
		at := answering(t, answer)
		_, compared := compare.Run(t.Context(), compare.Options{Real: at, Limit: 3, Now: time.Now, Emulate: func(_ context.Context, fixture []byte) (*url.URL, error) {
			return nil, errors.New(string(fixture)) // as the error of a fixture that quotes it
		}})
		recording, recorded := record.Run(t.Context(), record.Options{Real: at, Limit: 3, Now: time.Now})
		if compared == nil {
			t.Errorf("%s: there is no error", name)
		}
		for _, err := range []error{compared, recorded, recording.Unplayable} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// answering starts a server that always gives the same answer.
func answering(t *testing.T, answer string) *url.URL {
	t.Helper()
	listener := emulatortest.Must[net.Listener](t)(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for read := ""; !strings.Contains(read, "\r\n\r\n"); {
					buffer := make([]byte, 1<<10)
					n, err := conn.Read(buffer)
					if err != nil {
						return
					}
					read += string(buffer[:n])
				}
				_, _ = io.WriteString(conn, answer)
			}()
		}
	}()
	return emulatortest.Must[*url.URL](t)(url.Parse("http://" + listener.Addr().String()))
}
