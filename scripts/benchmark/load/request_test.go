package load_test

import (
	"testing"

	"gcp-metadata-emulator/scripts/benchmark/load"
)

func TestTemplate(t *testing.T) {
	template := load.Request{
		Method: "POST",
		Target: "/sign?a={n}",
		Header: []string{"Authorization: Bearer x"},
		Body:   `{"audience":"{n}"}`,
	}.Compile("localhost:80")
	want := func(n string) string {
		return "POST /sign?a=" + n + " HTTP/1.1\r\nHost: localhost:80\r\nAuthorization: Bearer x\r\n" +
			"Content-Length: 27\r\n\r\n" + `{"audience":"` + n + `"}`
	}
	var buf []byte
	for _, n := range []string{"000000000001", "000000000002"} {
		buf = template.Next(buf)
		if string(buf) != want(n) {
			t.Errorf("got  %q\nwant %q", buf, want(n))
		}
	}
}

func TestTemplateWithoutCounter(t *testing.T) {
	template := load.Request{Method: "GET", Target: "/"}.Compile("localhost")
	for range 2 {
		if got, want := string(template.Next(nil)), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
