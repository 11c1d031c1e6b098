package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/world"
)

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)               {}

// WriteString is here because the ResponseWriter of net/http has it too.
func (d discard) WriteString(s string) (int, error) { return len(s), nil }

// BenchmarkHandler measures the emulator without net/http.
func BenchmarkHandler(b *testing.B) {
	handler := server.New(server.Config{
		World: world.New(fixtures.Default()), Keys: keys.NewRing("", time.Now), Clock: clock.New(time.Now), Logger: slog.New(slog.DiscardHandler),
	})
	for name, path := range map[string]string{
		"value":    "/computeMetadata/v1/project/project-id",
		"token":    "/computeMetadata/v1/instance/service-accounts/default/token",
		"identity": "/computeMetadata/v1/instance/service-accounts/default/identity?audience=https://a.example.com&format=full",
		"tree":     "/computeMetadata/v1/?recursive=true",
		"jwks":     "/oauth2/v3/certs",
	} {
		b.Run(name, func(b *testing.B) {
			request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://127.0.0.1:8254"+path, http.NoBody)
			if err != nil {
				b.Fatal(err)
			}
			request.Header.Set("Metadata-Flavor", "Google")
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discard{http.Header{}}, request)
			}
		})
	}
}
