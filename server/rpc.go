package server

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"gcp-metadata-emulator/server/rpc"
)

// rpc is the handler of the APIs that are served in gRPC too. It is made when it is first
// asked: most programs never do.
func (s surfaces) rpc(logger *slog.Logger) func() http.Handler {
	return sync.OnceValue(func() http.Handler {
		return dated(s.observer.clock, s.credentials.RPC(rpc.NewServer(logger, s.observer.call(s.iamcredentials.CallSubject), func(registrar grpc.ServiceRegistrar) {
			s.iamcredentials.Register(registrar)
		})))
	})
}

// withRPC sends what is gRPC to one handler and everything else to another.
func withRPC(next http.Handler, calls func() http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor > 1 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			calls().ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
