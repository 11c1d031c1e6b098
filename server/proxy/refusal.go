package proxy

import (
	"fmt"
	"net/http"

	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/outward"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// refuse answers a request for a refused host.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, host string) {
	hint := "start it with --proxy-allow " + host
	text := fmt.Sprintf("The emulator does not proxy to host %q.\nhint: %s\n", host, hint)
	p.say(w, r, refusal(http.StatusForbidden, text, journal.Refusal{
		Code: reason.NotProxied, Reason: fmt.Sprintf("the emulator does not proxy to host %q", host), Hint: hint,
	}))
}

// spared answers a request for a host with a spared address: the proxy does not connect to it
// unless a person has named the address.
func (p *Proxy) spared(w http.ResponseWriter, r *http.Request, err *outward.SparedError) {
	why := fmt.Sprintf("the emulator does not proxy to %q: %v", r.URL.Host, err)
	hint := "if that is right, name the address: start the emulator with --proxy-allow " + err.Address.String()
	p.say(w, r, refusal(http.StatusForbidden, fmt.Sprintf("%s.\nhint: %s\n", why, hint), journal.Refusal{
		Code: reason.NotProxied, Reason: why, Hint: hint,
	}))
}

// badConnect returns the answer to a request for a tunnel that cannot be opened.
func badConnect(status int, sentence, hint string) wire.Response {
	return refusal(status, sentence+".\n", journal.Refusal{Code: reason.BadConnect, Reason: sentence, Hint: hint})
}

func needsHTTP1() wire.Response {
	return badConnect(http.StatusNotImplemented, "CONNECT needs HTTP/1.1", "connect to the proxy with HTTP/1.1")
}

// refusal returns an answer of the proxy itself.
func refusal(status int, text string, why journal.Refusal) wire.Response {
	return wire.Response{Status: status, ContentType: "text/plain; charset=utf-8", Body: text, Refusal: &why}
}

// say sends an answer of the proxy itself.
func (p *Proxy) say(w http.ResponseWriter, r *http.Request, answer wire.Response) {
	p.Refused(r, answer)
	wire.Dialect{Error: errorpage.Error}.Serve(func(*http.Request) wire.Response { return answer }).ServeHTTP(w, r)
}
