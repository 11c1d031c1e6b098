package door

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/ingress"
)

// rewrite turns the header of a client's request into the header that a container gets.
func (p *passage) rewrite(header http.Header, in *http.Request) {
	for name := range header {
		if isForged(name) || name == proxyAuthorization { // the latter never reaches a container
			delete(header, name)
		}
	}
	for _, name := range []string{ingress.Authorization, ingress.Serverless} { // also if Connection names them
		if values, ok := in.Header[name]; ok {
			header[name] = values
		}
	}
	if iap.Guards(p.service) {
		dropSession(header)
	}
	for _, field := range p.Verdict.Header {
		header[field.Name] = []string{field.Value}
	}
	p.forward(header, in)
	p.trace.write(header)
}

// isForged reports whether only Google may send a header field. Underscores count as hyphens, because
// CGI and WSGI do not distinguish them: a field of the front end must not have a double with
// underscores. X-Serverless-Authorization belongs to the caller, and programs that play Pub/Sub send
// X-Goog-Pubsub fields.
func isForged(name string) bool {
	folded := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	begins := func(prefix string) bool { return strings.HasPrefix(folded, prefix) }
	switch {
	case name == ingress.Serverless, strings.HasPrefix(name, "X-Goog-Pubsub-"):
		return false
	case begins("x-forwarded-"), folded == "x-cloud-trace-context":
		return strings.Contains(name, "_")
	default:
		return begins("x-goog-") || begins("x-google-") || begins("x-serverless-")
	}
}

// forward sets the fields that describe the client. The front end appends the client's address to
// the addresses in the request. In the cloud, clients always use TLS.
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

// dropForgedTrailers removes trailers of a request if only Google may send them. Programs that add
// trailers to the header would trust them.
func dropForgedTrailers(out *http.Request) {
	if len(out.Trailer) == 0 { // net/http drops trailers that the header does not announce
		return
	}
	trailer := trailedBody{out.Body, out.Trailer}
	trailer.drop()
	out.Body = trailer
}

// trailedBody is a request body that is followed by trailers. net/http fills them in at its end.
type trailedBody struct {
	io.ReadCloser

	trailer http.Header
}

// Read implements io.Reader.
func (b trailedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if errors.Is(err, io.EOF) {
		b.drop()
	}
	return n, err
}

func (b trailedBody) drop() {
	for name := range b.trailer {
		if isForged(name) {
			delete(b.trailer, name)
		}
	}
}
