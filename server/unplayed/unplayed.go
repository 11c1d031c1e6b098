// Package unplayed describes requests that the emulator does not play: it knows the REST methods of
// the Google APIs that programs call most, and makes the reason for a request to a method or a
// host of Google that the emulator does not play.
//
// It owns the table of methods, in methods.txt, and the sentence. It does not decide whether a method
// is played, and writes no answer.
package unplayed

import (
	"fmt"
	"strings"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/router/hostname"
)

// prefix begins every sentence about what is not played.
const prefix = "not played: "

// Request is a request that no surface answers.
type Request struct {
	Host   string // in the form of hostname.Of; empty if the request does not address an API by its name
	Method string // of HTTP
	Path   string // escaped, without a query
}

// Method returns the reason for a request to a method that the emulator does not play. known reports
// whether the table has the method.
func Method(r Request) (why journal.Refusal, known bool) {
	names := Names(r)
	target := r.Method + " " + r.Host + r.Path
	why = journal.Refusal{Code: reason.NotPlayed, Reason: prefix + target, Hint: hint(r.Host)}
	if len(names) == 0 {
		return why, false
	}
	why.Reason = fmt.Sprintf("%s%s (%s)", prefix, strings.Join(names, " or "), target)
	return why, true
}

// Call returns the reason for a call in gRPC to a method, by its full name.
func Call(method string) journal.Refusal {
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	return journal.Refusal{Code: reason.NotPlayed, Reason: prefix + name, Hint: hint("")}
}

// Parameter returns the reason for a request with a query parameter that the method has at Google.
func Parameter(name string) journal.Refusal {
	return journal.Refusal{
		Code: reason.NotPlayed, Reason: fmt.Sprintf("%sthe query parameter %q of this method", prefix, name), Hint: "leave the parameter out",
	}
}

// hint says how to get an answer.
func hint(host string) string {
	if host == "" {
		return "start another emulator of this API, and lead the program there"
	}
	return fmt.Sprintf("start another emulator of this API, and name it in the fixture: neighbours: [{host: %s, upstream: \"http://127.0.0.1:PORT\"}]", hostname.MainOf(host))
}

// Body returns the message for the client that gets a refusal of this package.
func Body(why journal.Refusal) string {
	return "Not played by this emulator: " + strings.TrimPrefix(why.Reason, prefix)
}
