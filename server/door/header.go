package door

import (
	"net"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/ingress"
)

// rewrite makes the header of a client's request the one that a container gets.
func (p *passage) rewrite(header http.Header, in *http.Request) {
	for name := range header {
		if isForged(name) {
			delete(header, name)
		}
	}
	for _, name := range []string{ingress.Authorization, ingress.Serverless} { // also if Connection names them
		if values, ok := in.Header[name]; ok {
			header[name] = values
		}
	}
	for _, field := range p.Verdict.Header {
		header[field.Name] = []string{field.Value}
	}
	p.forward(header, in)
	p.trace.write(header)
}

// isForged reports whether only Google sends a header field, in any spelling: an upstream that speaks
// CGI or WSGI does not tell an underscore from a hyphen. X-Serverless-Authorization is the caller's,
// and Pub/Sub's fields come from callers that play Pub/Sub.
func isForged(name string) bool {
	folded := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch {
	case name == ingress.Serverless, strings.HasPrefix(name, "X-Goog-Pubsub-"):
		return false
	default:
		return strings.HasPrefix(folded, "x-goog-") || strings.HasPrefix(folded, "x-google-") || strings.HasPrefix(folded, "x-serverless-")
	}
}

// forward says where a request comes from. The front end appends the client's address to the
// addresses that the client sends, and always speaks TLS with it.
func (p *passage) forward(header http.Header, in *http.Request) {
	client, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		client = in.RemoteAddr
	}
	addresses := append(append([]string{}, in.Header["X-Forwarded-For"]...), client)
	header["X-Forwarded-For"] = []string{strings.Join(addresses, ",")}
	header["X-Forwarded-Proto"] = []string{"https"}
	delete(header, "X-Forwarded-Host")
	if strings.Contains(client, ":") {
		client = "[" + client + "]"
	}
	header["Forwarded"] = []string{`for="` + client + `";proto=https`}
}
