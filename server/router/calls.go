package router

import (
	"net/http"
	"strings"
)

// WithCalls sends calls in gRPC to one handler, and every other request to another.
func WithCalls(next http.Handler, calls func() http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor > 1 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			calls().ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
