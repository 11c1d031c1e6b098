package servertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/server/servertest"
)

// soakVariable says for how long to go on, such as "60s".
const soakVariable = "GCP_METADATA_EMULATOR_SOAK"

// soak is a crowd that does everything to one emulator at once.
type soak struct {
	*testing.T

	emu     *servertest.Emulator
	ctx     context.Context // until nobody begins anything new
	patient context.Context // until what should have happened counts as lost
	giveUp  context.CancelCauseFunc

	all sync.WaitGroup
	// calm is held for reading by whoever relies on nothing being undone, and for writing by
	// who resets.
	calm sync.RWMutex

	requests atomic.Int64 // have been answered
}

// TestSoak checks that under 200 goroutines, which edit, wait, mint, rotate, advance, reset and look on, no change is
// missed by who waits for it, no token outlives its time, nothing is left running, and memory is bounded.
func TestSoak(t *testing.T) {
	duration := 2 * time.Second
	if text := os.Getenv(soakVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	emu := servertest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	late, stop := context.WithTimeout(t.Context(), duration+time.Minute)
	defer stop()
	patient, giveUp := context.WithCancelCause(late)
	defer giveUp(nil)
	s := &soak{T: t, emu: emu, ctx: ctx, patient: patient, giveUp: giveUp}
	for i := range 40 { // two goroutines each
		s.edit(i)
	}
	s.crowd(40, s.mintAccess)
	s.crowd(40, s.mintIdentity)
	s.crowd(10, s.advance)
	s.crowd(14, s.look)
	s.crowd(10, s.fail)
	s.crowd(2, s.rotate)
	s.crowd(4, s.reset)
	s.all.Wait()

	emu.Client().CloseIdleConnections()
	const bound = 48 << 20
	if grown := heap() - before; grown > bound {
		t.Errorf("%d MB are kept, want at most %d", grown>>20, bound>>20)
	}
	t.Logf("%d requests were answered in %v, and %d kB are kept", s.requests.Load(), duration, (heap()-before)>>10)
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) //nolint:gosec // is far below its limit
}

// Errorf ends the test for all, for there to be one failure and not what follows from it.
func (s *soak) Errorf(format string, arguments ...any) {
	s.Helper()
	if s.patient.Err() == nil {
		s.giveUp(errFailed)
		s.T.Errorf(format, arguments...)
	}
}

var errFailed = errors.New("the test has failed")

// crowd are so many who do something again and again until the time is over.
func (s *soak) crowd(count int, work func()) {
	for range count {
		s.all.Go(func() {
			for s.ctx.Err() == nil && s.patient.Err() == nil {
				work()
			}
		})
	}
}

// get asks for a resource, which is expected to be there unless the time is over.
func (s *soak) get(ctx context.Context, address string) (header http.Header, status int, body string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		s.Errorf("%v", err)
		return nil, 0, ""
	}
	request.Header.Set("Metadata-Flavor", "Google")
	response, err := s.emu.Client().Do(request)
	if err != nil {
		if ctx.Err() == nil {
			s.Errorf("%s: %v", address, err)
		}
		return nil, 0, ""
	}
	defer response.Body.Close()
	s.requests.Add(1)
	content, err := io.ReadAll(response.Body)
	if err != nil && ctx.Err() == nil {
		s.Errorf("%s: %v", address, err)
	}
	return response.Header, response.StatusCode, string(content)
}

// edit is one who counts in an attribute, and one who waits for changes of attributes: each number reaches him.
func (s *soak) edit(i int) {
	name := fmt.Sprintf("soak-%d", i)
	seen := make(chan string)
	waiting, enough := context.WithCancel(s.patient)
	s.all.Go(func() {
		for etag, last := "0", ""; waiting.Err() == nil; {
			header, status, body := s.get(waiting, root+"instance/attributes/?recursive=true&wait_for_change=true&last_etag="+etag)
			if status == 0 {
				continue
			}
			if header.Get("ETag") == etag {
				s.Errorf("a waiter is woken by no change: %s", body)
			}
			etag = header.Get("ETag")
			var attributes map[string]string
			if err := json.Unmarshal([]byte(body), &attributes); err != nil {
				s.Errorf("%d %s: %v", status, body, err)
			}
			if attributes[name] == last {
				continue
			}
			last = attributes[name]
			select {
			case seen <- last:
			case <-waiting.Done():
			}
		}
	})
	s.all.Go(func() {
		defer enough()
		for number := 1; s.ctx.Err() == nil && s.patient.Err() == nil; number++ {
			s.count(name, strconv.Itoa(number), seen)
		}
	})
}

// count sets an attribute, and returns when that is seen.
func (s *soak) count(name, number string, seen <-chan string) {
	s.calm.RLock()
	defer s.calm.RUnlock()
	s.emu.SetMetadata("instance/attributes/"+name, number)
	for {
		select {
		case value := <-seen:
			if value == number {
				return
			}
		case <-s.patient.Done():
			if !errors.Is(context.Cause(s.patient), errFailed) {
				s.T.Errorf("%s is %s, and whoever waits for it is not told", name, number)
			}
			return
		}
	}
}

// mintAccess gets an access token, and sees it work until its time is over and not after.
func (s *soak) mintAccess() {
	s.calm.RLock()
	defer s.calm.RUnlock()
	earliest := s.emu.Now()
	_, status, body := s.get(s.patient, root+"instance/service-accounts/default/token")
	latest := s.emu.Now()
	var access struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &access); err != nil || status != http.StatusOK {
		s.Errorf("token: %d %s", status, body)
		return
	}
	left := time.Duration(access.ExpiresIn) * time.Second
	for _, passed := range []time.Duration{0, left + 2*time.Second} {
		s.emu.Advance(passed)
		begun := s.emu.Now()
		_, status, body = s.get(s.patient, "https://oauth2.googleapis.com/tokeninfo?access_token="+url.QueryEscape(access.Token))
		switch ended := s.emu.Now(); {
		case ended.Before(earliest.Add(left)) && status != http.StatusOK:
			s.Errorf("a token that is good until %v is refused by %v: %d %s", earliest.Add(left), ended, status, body)
		case begun.After(latest.Add(left+time.Second)) && status != http.StatusBadRequest:
			s.Errorf("a token that was good until %v is accepted at %v: %d %s", latest.Add(left), begun, status, body)
		}
	}
}

// mintIdentity gets an ID token, whose key is published as long as it is good.
func (s *soak) mintIdentity() {
	s.calm.RLock()
	defer s.calm.RUnlock()
	begun := s.emu.Now()
	_, status, token := s.get(s.patient, identity)
	if status != http.StatusOK {
		s.Errorf("identity: %d %s", status, token)
		return
	}
	_, err := verify(s.emu.Client(), token)
	if err != nil && !strings.Contains(err.Error(), "token is expired") && !strings.Contains(err.Error(), "not valid yet") &&
		!strings.Contains(err.Error(), "used before issued") && s.emu.Now().Sub(begun) < 12*time.Hour {
		s.Errorf("an ID token is refused: %v", err)
	}
}

func (s *soak) advance() {
	s.pause(20 * time.Millisecond)
	s.emu.Advance(time.Minute)
}

func (s *soak) rotate() {
	s.pause(500 * time.Millisecond)
	s.emu.RotateKeys()
}

func (s *soak) reset() {
	s.pause(100 * time.Millisecond)
	s.calm.Lock()
	defer s.calm.Unlock()
	s.emu.Reset()
}

// look reads what is remembered, and waits for a change for a moment of the emulator's time.
func (s *soak) look() {
	if got := len(s.emu.Requests("*")); got > 1000 {
		s.Errorf("%d requests are remembered", got)
	}
	s.get(s.patient, root+"instance/tags?wait_for_change=true&timeout_sec=1")
}

// fail makes something fail that nobody else here asks for.
func (s *soak) fail() {
	path := "/robot/v1/metadata/x509/" + worker
	failing := s.emu.Fail("keys.account.x509", servertest.Status(http.StatusServiceUnavailable), servertest.Path(path))
	s.get(s.patient, "https://www.googleapis.com"+path)
	failing.Remove()
}

// pause keeps those who do much from doing it all the time.
func (s *soak) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}
