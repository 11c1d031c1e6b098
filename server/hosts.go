package server

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// hosts decides under which names the emulator answers. A web page can make its own name
// resolve to this machine and then read whatever is served under it (DNS rebinding); it
// cannot do so with an address, with a name that is not its own, or without a name.
type hosts struct {
	worlds  *store.Store[*world.World]
	allowed []string // further names; "*" allows all

	everything http.Handler                   // answers by path alone
	named      func(host string) http.Handler // answers for a name of Google's
	observer   *observer                      // of those that are refused

	last atomic.Pointer[answer] // of the Host that was ours last: nearly always the next one
}

// answer is who answers for a Host, as it was sent.
type answer struct {
	hostport string
	handler  http.Handler
}

// handler answers requests for the emulator's names.
func (h *hosts) handler(logger *slog.Logger) http.Handler {
	dialect := wire.Dialect{Error: errorpage.Error}
	refuse := dialect.Serve(h.observer.observe(operation{
		name: func(*http.Request) string { return unknownRoute }, dialect: dialect, answer: dialect.Answer(logger, refused),
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler := h.answering(r.Host); handler != nil {
			handler.ServeHTTP(w, r)
			return
		}
		refuse.ServeHTTP(w, r)
	})
}

func refused(r *http.Request) (wire.Response, error) {
	host := hostname.Of(r.Host)
	return wire.Response{
		Status:      http.StatusForbidden,
		ContentType: "text/plain; charset=utf-8",
		Body:        fmt.Sprintf("The emulator does not answer for host %q.\nhint: start it with --allow-host %s\n", host, host),
	}, nil
}

// answering is who answers for a Host; nil: nobody.
func (h *hosts) answering(hostport string) http.Handler {
	if last := h.last.Load(); last != nil && last.hostport == hostport {
		return last.handler
	}
	host := hostname.Of(hostport)
	switch {
	case hostname.IsGoogle(host), hostname.IsMetadata(host):
		return h.remember(hostport, h.named(host))
	case h.isOurs(host):
		return h.remember(hostport, h.everything)
	case h.isInstance(host):
		return h.instance(host)
	default:
		return nil
	}
}

// isOurs tells whether the emulator always answers for a host.
func (h *hosts) isOurs(host string) bool {
	return host == "" || isOurs(host) || hostname.IsListed(host, h.allowed)
}

// answersTarget tells whether the emulator answers for the target of a proxied request that
// came in at an address. Google's names are played on every port; any other name may be that
// of another server on this machine, unless the port is the one that the client has reached.
func (h *hosts) answersTarget(host, port string, at net.Addr) bool {
	if hostname.IsOfGoogle(host) {
		return true
	}
	own, isTCP := at.(*net.TCPAddr)
	return isTCP && port == strconv.Itoa(own.Port) && (h.isOurs(host) || h.isInstance(host))
}

// isInstance tells whether a host is a name of an instance that there is at present.
func (h *hosts) isInstance(host string) bool {
	label, rest, _ := strings.Cut(host, ".")
	if _, isInstance := h.worlds.Load().State.Instance(label); !isInstance {
		return false
	}
	// demo-vm, demo-vm.localhost, and its name in Google's internal DNS, which nobody can own.
	return rest == "" || isOurs(rest) || hostname.IsMetadata(rest) || hostname.IsListed(rest, h.allowed) || strings.HasSuffix(rest, ".internal")
}

// instance answers for the instance that a host names. Which one that is, is decided here
// once: it may be gone when the request is read.
func (h *hosts) instance(host string) http.Handler {
	label, _, _ := strings.Cut(host, ".")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.everything.ServeHTTP(w, r.WithContext(mds.WithInstance(r.Context(), label)))
	})
}

// remember is a function of its own for its argument to be copied only here.
func (h *hosts) remember(hostport string, handler http.Handler) http.Handler {
	h.last.Store(&answer{hostport, handler})
	return handler
}

// isOurs tells whether a host is this machine, or an address of the metadata server
// (https://cloud.google.com/compute/docs/metadata/querying-metadata).
func isOurs(host string) bool {
	return hostname.IsLocalhost(host) || hostname.IsMetadataAddress(host)
}
