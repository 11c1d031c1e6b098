package router

import (
	"net/http"
	"strings"
)

// WithCalls returns a handler that passes gRPC calls to calls, and all other requests to next.
func WithCalls(next http.Handler, calls func() http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor > 1 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			calls().ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
