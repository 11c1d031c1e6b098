package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"

	"gcp-metadata-emulator/server/hostname"
	"gcp-metadata-emulator/server/robot"
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

	last atomic.Pointer[string] // the Host that was found to be ours last: nearly always the next one
}

// guard lets requests for the emulator's names through.
func (h *hosts) guard(logger *slog.Logger, next http.Handler) http.Handler {
	refuse := wire.Dialect{Error: robot.Error}.Adapt(logger, func(r *http.Request) (wire.Response, error) {
		return wire.Response{
			Status:      http.StatusForbidden,
			ContentType: "text/plain; charset=utf-8",
			Body: fmt.Sprintf("The emulator does not answer for host %q.\nhint: start it with --allow-host %s\n",
				hostname.Of(r.Host), hostname.Of(r.Host)),
		}, nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.answers(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		refuse.ServeHTTP(w, r)
	})
}

func (h *hosts) answers(hostport string) bool {
	if last := h.last.Load(); last != nil && *last == hostport {
		return true
	}
	host := hostname.Of(hostport)
	if host == "" || isOurs(host) || hostname.IsGoogle(host) || hostname.IsListed(host, h.allowed) {
		h.remember(hostport)
		return true
	}
	label, rest, _ := strings.Cut(host, ".")
	if _, isInstance := h.worlds.Load().State.Instance(label); !isInstance {
		return false
	}
	// demo-vm, demo-vm.localhost, and its name in Google's internal DNS, which nobody can own.
	return rest == "" || isOurs(rest) || hostname.IsListed(rest, h.allowed) || strings.HasSuffix(rest, ".internal")
}

// remember is a function of its own for its argument to be copied only here.
func (h *hosts) remember(hostport string) { h.last.Store(&hostport) }

// isOurs tells whether a host is this machine, or the metadata server under one of its
// names (https://cloud.google.com/compute/docs/metadata/querying-metadata).
func isOurs(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback() || address == netip.AddrFrom4([4]byte{169, 254, 169, 254}) ||
			address.String() == "fd20:ce::254"
	}
	switch host {
	case "localhost", "metadata", "metadata.google.internal", "metadata.goog":
		return true
	default:
		return false
	}
}
