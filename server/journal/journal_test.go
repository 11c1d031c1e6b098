package journal_test

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/journal"
)

// sequences returns the sequence numbers of exchanges.
func sequences(snapshot journal.Snapshot) []uint64 {
	var numbers []uint64
	for _, e := range snapshot.Exchanges {
		numbers = append(numbers, e.Sequence)
	}
	return numbers
}

func TestSince(t *testing.T) {
	t.Parallel()
	j := journal.New()
	if got := j.Since(0); len(got.Exchanges) > 0 || got.Last != 0 || got.Dropped != 0 {
		t.Errorf("a new journal has %+v", got)
	}
	for range 40 {
		j.Append(journal.Exchange{Route: "mds.token"})
	}
	if diff := cmp.Diff([]uint64{39, 40}, sequences(j.Since(38))); diff != "" {
		t.Errorf("since 38 (-want +got):\n%s", diff)
	}
	j.Clear()
	if got := j.Since(0); len(got.Exchanges) > 0 || got.Dropped != 0 || got.Last != 40 {
		t.Errorf("after Clear: %+v", got)
	}
	j.Append(journal.Exchange{})
	if diff := cmp.Diff([]uint64{41}, sequences(j.Since(0))); diff != "" {
		t.Errorf("after Clear and one more exchange (-want +got):\n%s", diff)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	j := journal.New()
	const many = 2500
	begun := time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
	for i := range many {
		j.Append(journal.Exchange{Path: strconv.Itoa(i), Time: begun.Add(time.Duration(i) * time.Second)})
	}
	snapshot := j.Since(0)
	if len(snapshot.Exchanges) != 1000 || snapshot.Dropped != many-1000 || snapshot.Exchanges[0].Path != "1500" {
		t.Fatalf("after %d: %d are remembered, %d dropped", many, len(snapshot.Exchanges), snapshot.Dropped)
	}
	for i, e := range snapshot.Exchanges {
		if e.Sequence != uint64(i+1501) || e.Path != strconv.Itoa(i+1500) {
			t.Fatalf("exchange %d is %+v", i, e)
		}
	}
	if got := j.Since(2000); got.Dropped != 0 || len(got.Exchanges) != 500 {
		t.Errorf("since 2000: %d, %d dropped", len(got.Exchanges), got.Dropped)
	}
	if got := j.Since(1000); got.Dropped != 500 {
		t.Errorf("since 1000: %d dropped, want 500", got.Dropped)
	}
	if got := j.Since(0); !got.DroppedTo.Equal(begun.Add((many - 1001) * time.Second)) {
		t.Errorf("the latest that is dropped is of %v", got.DroppedTo)
	}
	// A few large exchanges replace the small ones.
	large := strings.Repeat("x", 60<<10)
	for range 100 {
		j.Append(journal.Exchange{Path: large})
	}
	if got := len(j.Since(0).Exchanges); got != 16 {
		t.Errorf("%d exchanges of 60 KiB are remembered, want 16, which are less than a MiB", got)
	}
	j.Append(journal.Exchange{Path: strings.Repeat("x", 2<<20)})
	if got := len(j.Since(0).Exchanges); got != 1 {
		t.Errorf("after an exchange that is too large, %d are left; want only this one", got)
	}
}

// Every text of an exchange counts.
func TestBytesAreBounded(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 60<<10)
	for name, e := range map[string]journal.Exchange{
		"method": {Method: large}, "path": {Path: large}, "instance": {Instance: large}, "account": {Account: large},
		"audience": {Audience: large}, "user agent": {UserAgent: large},
	} {
		j := journal.New()
		for range 100 {
			j.Append(e)
		}
		if got := len(j.Since(0).Exchanges); got != 16 {
			t.Errorf("%s: %d exchanges of 60 KiB are remembered, want 16, which are less than a MiB", name, got)
		}
	}
}

// A secret is not kept in memory with the rest of its request line.
func TestSecretsAreFreed(t *testing.T) { // alone: it measures what the process keeps
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	j := journal.New()
	for range 64 {
		line := strings.Clone("GET /tokeninfo?access_token=" + strings.Repeat("x", 1<<20))
		j.Append(journal.Exchange{Method: line[:3], Path: line[4:]})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	const much = 8 << 20
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > much {
		t.Errorf("%d short exchanges keep %d bytes", len(j.Since(0).Exchanges), kept)
	}
}

// The same request again costs no more memory than its exchange, and its secrets stay hidden.
func TestRepeatedExchanges(t *testing.T) {
	t.Parallel()
	j := journal.New()
	for _, path := range []string{"/a?key=b", "/a?key=b", "/a?key=REDACTED", "/a?key=b", "/plain", "/plain"} {
		j.Append(journal.Exchange{Path: strings.Clone(path), UserAgent: strings.Clone("curl/8 " + path)})
	}
	all := j.Since(0).Exchanges
	for i, want := range []string{"/a?key=REDACTED", "/a?key=REDACTED", "/a?key=REDACTED", "/a?key=REDACTED", "/plain", "/plain"} {
		if got := all[i]; got.Path != want || got.UserAgent != "curl/8 "+want {
			t.Errorf("exchange %d is %q by %q, want %q", i, got.Path, got.UserAgent, want)
		}
	}
	if unsafe.StringData(all[4].Path) != unsafe.StringData(all[5].Path) {
		t.Error("two equal paths take memory twice")
	}
}

func TestChanged(t *testing.T) {
	t.Parallel()
	j := journal.New()
	snapshot := j.Since(0)
	select {
	case <-snapshot.Changed:
		t.Fatal("changed before anything came")
	default:
	}
	j.Clear()
	j.Append(journal.Exchange{})
	select {
	case <-snapshot.Changed:
	default:
		t.Error("not changed although something came")
	}
}

// A reader that follows every change misses no recorded exchange.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	j := journal.New()
	const writers, each = 4, 500
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				j.Append(journal.Exchange{})
			}
		})
	}
	var last, seen uint64
	for last < writers*each {
		snapshot := j.Since(last)
		for _, e := range snapshot.Exchanges {
			if e.Sequence <= last {
				t.Fatalf("%d comes after %d", e.Sequence, last)
			}
			last = e.Sequence
			seen++
		}
		seen += snapshot.Dropped
		if last < writers*each {
			<-snapshot.Changed
		}
	}
	all.Wait()
	if seen != writers*each {
		t.Errorf("saw %d, want %d", seen, writers*each)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
	e := journal.Exchange{
		Route: "mds.token", Instance: "demo-vm", Account: "a@example.com", Audience: "https://x/y", Status: 503, Time: now,
	}
	for name, test := range map[string]struct {
		filter journal.Filter
		want   bool
	}{
		"nothing":           {journal.Filter{}, true},
		"route":             {journal.Filter{Route: "mds.token"}, true},
		"surface":           {journal.Filter{Route: "mds.*"}, true},
		"another route":     {journal.Filter{Route: "mds.identity"}, false},
		"instance":          {journal.Filter{Instance: "demo-vm"}, true},
		"another instance":  {journal.Filter{Instance: "other-vm"}, false},
		"account":           {journal.Filter{Account: "a@*"}, true},
		"another account":   {journal.Filter{Account: "b@example.com"}, false},
		"audience":          {journal.Filter{Audience: "https://x/*"}, true},
		"another audience":  {journal.Filter{Audience: "https://z/*"}, false},
		"status":            {journal.Filter{Status: "503"}, true},
		"class":             {journal.Filter{Status: "5xx"}, true},
		"another class":     {journal.Filter{Status: "2xx"}, false},
		"another status":    {journal.Filter{Status: "500"}, false},
		"since before":      {journal.Filter{From: now.Add(-time.Second)}, true},
		"since that moment": {journal.Filter{From: now}, true},
		"since later":       {journal.Filter{From: now.Add(time.Nanosecond)}, false},
		"two of them":       {journal.Filter{Route: "mds.token", Status: "200"}, false},
	} {
		if got := test.filter.Matches(e); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestExpectation(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][3]bool{ // of 2, 3, 4
		"0": {}, "<0": {}, ">=0": {true, true, true},
		"3": {false, true, false}, ">3": {false, false, true}, ">=3": {false, true, true},
		"<3": {true, false, false}, "<=3": {true, true, false},
	} {
		expectation, err := journal.ParseExpectation(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]bool{expectation.Met(2, 2), expectation.Met(3, 3), expectation.Met(4, 4)}; got != want {
			t.Errorf("%q (%s) is met by 2, 3, 4: %v, want %v", text, expectation, got, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "=3", "3>", "<>3", ">", "99999999999999999999", "9223372036854775807"} {
		if _, err := journal.ParseExpectation(text); err == nil {
			t.Errorf("%q is taken for an expectation", text)
		}
	}
}

// If a number is known only as a range, an expectation may be met by all of the range, by some of
// it, or by nothing in it.
func TestExpectationOfAnUnknownNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{ // met by 2, 3 and 4; possible
		"1": {false, false}, "2": {false, true}, "3": {false, true}, "4": {false, true}, "5": {false, false},
		">=2": {true, true}, ">2": {false, true}, ">=4": {false, true}, ">4": {false, false},
		"<5": {true, true}, "<=3": {false, true}, "<3": {false, true}, "<2": {false, false},
	} {
		expectation, err := journal.ParseExpectation(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{expectation.Met(2, 4), expectation.Possible(2, 4)}; got != want {
			t.Errorf("%q of 2 to 4: %v, want %v", text, got, want)
		}
	}
}
