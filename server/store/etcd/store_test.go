//go:build cluster

package etcd_test

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/records"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/store/etcd"
)

func open(t *testing.T, address string) *etcd.Store {
	t.Helper()
	return openLogging(t, address, t.Output())
}

func openLogging(t *testing.T, address string, log io.Writer) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Config{
		Endpoints: []string{address}, Prefix: t.Name(), Timeout: time.Minute, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	server := recordstest.StartEtcd(t)
	recordstest.Contract(t, func() records.Store { return open(t, server.Address) })
}

// The copy survives the death of the server, and gets the changes in between.
func TestServerDiesAndComesBack(t *testing.T) {
	t.Parallel()
	server := recordstest.StartEtcd(t)
	a, b := open(t, server.Address), open(t, server.Address)
	put := func(s *etcd.Store, value string) error {
		return s.Commit(t.Context(), records.Change{Put: []records.Entry{{Name: "folder/x", Value: []byte(value)}}})
	}
	if err := put(a, "1"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		server.Kill()
		if found, _ := a.Copy().Find("folder/x"); string(found.Value) != "1" {
			t.Errorf("without the server, the copy has %q", found.Value)
		}
		server.Start(t)
		for {
			if err := put(a, "1"); err == nil {
				break
			} else if _, lost := errors.AsType[*records.UnreachableError](err); !lost {
				t.Fatal(err)
			}
		}
		if err := b.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(a, "2"); err != nil {
		t.Fatal(err)
	}
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, _ := b.Copy().Find("folder/x"); string(found.Value) != "2" {
		t.Errorf("the other copy has %q", found.Value)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"etcd://a:1/p":                 "a:1 p",
		"etcd://a:1,[::1]:2/team/a/":   "a:1,[::1]:2 team/a",
		"etcd://a:1":                   `"etcd://a:1" is not etcd://HOST:PORT[,HOST:PORT]/PREFIX`,
		"etcd://a:1/":                  `"etcd://a:1/" is not etcd://HOST:PORT[,HOST:PORT]/PREFIX`,
		"http://a:1/p":                 `"http://a:1/p" is not etcd://HOST:PORT[,HOST:PORT]/PREFIX`,
		"etcd://a/p":                   `"a" in "etcd://a/p" is not HOST:PORT`,
		"etcd://a:1,/p":                `"" in "etcd://a:1,/p" is not HOST:PORT`,
		"etcd://user:password@a:1:2/p": `"user:password@a:1:2" in "etcd://user:password@a:1:2/p" is not HOST:PORT`,
	} {
		endpoints, prefix, err := etcd.Parse(text)
		got := strings.Join(endpoints, ",") + " " + prefix
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

// The server comes back without its data: the copy loses it too, and changes go on, with new leases.
func TestServerLosesItsData(t *testing.T) {
	t.Parallel()
	server := recordstest.StartEtcd(t)
	a, b := open(t, server.Address), open(t, server.Address)
	put := func(s *etcd.Store, name string) error {
		return s.Commit(t.Context(), records.Change{Put: []records.Entry{
			{Name: "folder/" + name, Lasts: time.Hour}, {Name: "folder/mine", Mine: true},
		}})
	}
	for range 10 {
		if err := put(a, "before"); err != nil {
			t.Fatal(err)
		}
	}
	seen := a.Copy().Seen()
	server.Kill()
	server.Lose(t)
	server.Start(t)
	for _, s := range []*etcd.Store{a, b} {
		for s.Copy().Seen() >= seen || s.Contact().IsZero() {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-t.Context().Done():
				t.Fatal("the copy stays as it was")
			}
		}
	}
	if err := put(a, "after"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*etcd.Store{a, b} {
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, record := range s.Copy().List("folder") {
			names = append(names, record.Name)
		}
		if got := strings.Join(names, " "); got != "folder/after folder/mine" {
			t.Errorf("the copy has %s", got)
		}
	}
}
