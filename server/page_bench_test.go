package server_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/journal"
)

// BenchmarkPages measures each page after 10,000 requests.
func BenchmarkPages(b *testing.B) {
	s := emulatortest.Unserved(b, "")
	for i := range 10_000 {
		s.Journal.Append(journal.Exchange{
			Time: time.Unix(int64(i), 0), Method: http.MethodGet, Path: "/computeMetadata/v1/instance/attributes/" + strconv.Itoa(i),
			Route: "mds.metadata", Instance: "demo-vm", Status: http.StatusOK, UserAgent: "python-requests/2.32",
		})
	}
	for _, path := range pagePaths() {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				if got := emulatortest.Ask(b.Context(), s, path); got.Code != http.StatusOK {
					b.Fatalf("status %d", got.Code)
				}
			}
		})
	}
}
