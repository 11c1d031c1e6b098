//go:build cluster

package etcd_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/store/etcd"
)

// An edit is a record of 2 kB, as the part of a small world. It is over when every watcher has it.
func BenchmarkEdit(b *testing.B) {
	server := recordstest.StartEtcd(b)
	for _, watchers := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("watchers=", watchers), func(b *testing.B) {
			var all []*etcd.Store
			for range watchers {
				s, err := etcd.Open(b.Context(), etcd.Config{
					Endpoints: []string{server.Address}, Prefix: b.Name(), Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
				})
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, s)
			}
			defer func() {
				for _, s := range all {
					s.Close()
				}
			}()
			value := []byte(strings.Repeat("x", 2000))
			for b.Loop() {
				if err := all[0].Commit(b.Context(), records.Change{Put: []records.Entry{{Name: "world/head", Value: value}}}); err != nil {
					b.Fatal(err)
				}
				changed, _ := all[0].Copy().Find("world/head")
				for _, s := range all {
					if err := s.Copy().Await(b.Context(), changed.Version); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
