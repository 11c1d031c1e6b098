package peers_test

import (
	"strings"
	"testing"

	"gcp-metadata-emulator/server/peers"
)

// A URL is a host and nothing else, and no error shows a password.
func TestBase(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://a:1":                        "http://a:1",
		"HTTP://a:1/":                       "http://a:1",
		"http://[::1]:1#":                   "http://[::1]:1",
		"http://[":                          "error: it cannot be parsed: missing ']' in host",
		"a:1":                               "error: it is not of the form http://HOST:PORT",
		"":                                  "error: it is not of the form http://HOST:PORT",
		"https://a:1":                       "error: it is not of the form http://HOST:PORT",
		"http://:1":                         "error: it is not of the form http://HOST:PORT",
		"http:a":                            "error: it is not of the form http://HOST:PORT",
		"http://me:s3cret@a":                "error: it has a user name or a password, which everybody would see who lists the replicas",
		"http://@a":                         "error: it has a user name or a password, which everybody would see who lists the replicas",
		"http://a/emulator/v1/waiters#":     "error: it has a path",
		"http://a?replica=all":              "error: it has a query",
		"http://a?":                         "error: it has a query",
		"http://a#frag":                     "error: it has a fragment",
		"http://me:s3cret@a:b":              `error: it cannot be parsed: invalid port ":b" after host`,
		"http://a/%":                        `error: it cannot be parsed: invalid URL escape "%"`,
		"http://a/../emulator/?replica=all": "error: it has a path",
	} {
		base, err := peers.Base(text)
		got := "error: "
		if err != nil {
			got += err.Error()
		} else {
			got = base.String()
		}
		if got != want || strings.Contains(got, "s3cret") {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
