//go:build cluster

package etcd_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/store/etcd"
)

// newClient returns a client of the server that is not a store.
func newClient(t *testing.T, server *recordstest.Etcd) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// compactLater changes a record that the stores do not keep, and makes the server forget all changes before
// this change.
func compactLater(t *testing.T, server *recordstest.Etcd) {
	t.Helper()
	client := newClient(t, server)
	var last *clientv3.PutResponse
	for range 3 {
		var err error
		if last, err = client.Put(t.Context(), "elsewhere", ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Compact(t.Context(), last.Header.Revision); err != nil {
		t.Fatal(err)
	}
}

// The server comes back from a backup. It then gets fewer changes than were lost, as many or more, before
// the copies ask it again. The copies have the server's content. It does not matter that the server has
// forgotten the last change before the copies, because other programs have changed much since.
func TestServerIsRestoredFromABackup(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]int{"as far as before": 3, "further than before": 5, "not so far": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := recordstest.StartEtcd(t)
			put := func(s *etcd.Store, name string) {
				t.Helper()
				err := s.Commit(t.Context(), records.Change{Put: []records.Entry{{Name: "folder/" + name}, {Name: "folder/x", Value: []byte(name)}}})
				if err != nil {
					t.Fatal(err)
				}
			}
			put(open(t, server.Address), "kept")
			compactLater(t, server)
			a, b := open(t, server.Address), open(t, server.Address)
			server.Kill()
			restore := server.Backup(t)
			server.Start(t)
			for i := range 3 {
				put(open(t, server.Address), fmt.Sprint("lost-", i))
			}
			if err := errors.Join(a.Sync(t.Context()), b.Sync(t.Context())); err != nil {
				t.Fatal(err)
			}
			server.Kill()
			restore()
			back := server.Elsewhere(t)
			want := []string{"folder/kept"}
			elsewhere := open(t, server.Address)
			for i := range changes {
				put(elsewhere, fmt.Sprint("new-", i))
				want = append(want, fmt.Sprint("folder/new-", i))
			}
			want = append(want, fmt.Sprintf("folder/x=new-%d", changes-1))
			before := a.Copy().Changes("folder")
			back()
			for _, s := range []*etcd.Store{a, b} {
				for list(s) != strings.Join(want, " ") {
					select {
					case <-time.After(10 * time.Millisecond):
					case <-t.Context().Done():
						t.Fatalf("the copy has %s, want %s", list(s), want)
					}
				}
				if s.Copy().Changes("folder") <= before {
					t.Error("the folder does not count as changed")
				}
			}
			put(a, "after")
			if err := b.Sync(t.Context()); err != nil || list(b) != list(a) {
				t.Errorf("afterwards, the copies have %s and %s: %v", list(a), list(b), err)
			}
		})
	}
}

// list returns the names and the values of the records of the tests.
func list(s *etcd.Store) string {
	var all []string
	for _, record := range s.Copy().List("folder") {
		all = append(all, strings.TrimSuffix(record.Name+"="+string(record.Value), "="))
	}
	return strings.Join(all, " ")
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Changes and compactions that happen while a store asks for the last change are not a loss.
func TestCompactionIsNotALoss(t *testing.T) {
	t.Parallel()
	server := recordstest.StartEtcd(t)
	client := newClient(t, server)
	var log buffer
	a, b := openLogging(t, server.Address, &log), open(t, server.Address)
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
		if err := b.Commit(t.Context(), records.Change{Put: []records.Entry{{Name: "folder/x"}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Compact(t.Context(), b.Copy().Seen()); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); strings.Contains(got, "the store has lost changes") {
		t.Errorf("the store says %s", got)
	}
}
