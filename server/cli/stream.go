package cli

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// readEvents reads server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html) until the stream ends or take
// fails. It knows only the fields of the emulator's events: event and data, each on one line.
func readEvents(from io.Reader, take func(name string, data []byte) error) error {
	lines := bufio.NewReader(from)
	var name string
	var data []byte
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		field, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case len(line) > 0:
			switch string(field) {
			case "event":
				name = string(value)
			case "data":
				data = value
			}
		case data != nil:
			if err := take(name, data); err != nil {
				return err
			}
			name, data = "", nil
		}
	}
}
