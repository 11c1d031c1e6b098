package replica_test

import (
	"context"
	"log/slog"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/replica"
)

// newMember returns a replica that has not begun.
func newMember(link *recordstest.Replica, host string) *replica.Replica {
	return replica.New(replica.Config{Host: host, Store: link, Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)})
}

// A replica is a member from its announcement to its end, however it ends, and also after the store has
// lost its record.
func TestMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := recordstest.New()
		linkA, linkB := memory.Join(), memory.Join()
		a, b := newMember(linkA, "host"), newMember(linkB, "")
		is := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			var urls []string
			for _, member := range a.Members() {
				urls = append(urls, member.URL)
			}
			if diff := cmp.Diff(want, urls); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		running, stop := context.WithCancel(t.Context())
		is("at first")
		before := memory.Backup()
		b.Announce(running, "http://b")
		is("after an announcement", "http://b")
		a.Announce(t.Context(), "http://a")
		synctest.Wait()
		if got := len(b.Members()); got != 2 {
			t.Errorf("there are %d members", got)
		}
		before()
		synctest.Wait()
		if got := len(a.Members()); got != 2 {
			t.Errorf("after a loss of the records, there are %d members", got)
		}
		linkB.End()
		is("after one was killed", "http://a")
		linkB.Connect()
		synctest.Wait()
		if got := len(a.Members()); got != 2 {
			t.Errorf("after it is back, there are %d members", got)
		}
		stop()
		is("after one was stopped", "http://a")
	})
}

// A replica that begins without its store announces itself when the store answers.
func TestAnnouncedLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		link := recordstest.New().Join()
		one := newMember(link, "")
		link.Cut()
		one.Announce(t.Context(), "http://a")
		synctest.Wait()
		if got := one.Members(); len(got) > 0 {
			t.Errorf("without the store, the members are %v", got)
		}
		link.Connect()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := one.Members(); len(got) != 1 {
			t.Errorf("with the store, the members are %v", got)
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	link := recordstest.New().Join()
	names := map[string]bool{}
	for host, pattern := range map[string]string{"": "^[a-z2-7]{10}$", "pod-1": "^pod-1-[a-z2-7]{10}$", "a/b c": "^a-b-c-[a-z2-7]{10}$"} {
		for range 2 {
			name := newMember(link, host).Name()
			if !regexp.MustCompile(pattern).MatchString(name) || names[name] {
				t.Errorf("on host %q, a name is %q", host, name)
			}
			names[name] = true
		}
	}
}
