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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gcp-metadata-emulator/server/servertest"
	"gcp-metadata-emulator/server/token"
)

// soakVariable sets the duration of the soak test, such as "60s".
const soakVariable = "GCP_METADATA_EMULATOR_SOAK"

// soak runs many goroutines that use all features of one emulator at once.
type soak struct {
	*testing.T

	emu     *servertest.Emulator
	ctx     context.Context // no new work starts after it
	patient context.Context // pending work counts as lost after it
	giveUp  context.CancelCauseFunc

	all  sync.WaitGroup
	lost sync.Once // reports the first lost change
	// calm is held for reading by work that a reset would break, and for writing during a reset.
	calm sync.RWMutex
	// still is held for reading during changes of the world, and for writing by work that needs a
	// world without other changes. Lock it after calm.
	still sync.RWMutex
	// undone changes before and after each reset.
	undone atomic.Int64

	requests atomic.Int64 // answered requests
	seen     atomic.Int64 // numbers received by waiters
	good     atomic.Int64 // tokens found valid
	spent    atomic.Int64 // tokens found expired on time
}

// attributes is the number of attributes that are edited and watched.
const attributes = 46

// soakWorld returns a fixture, as text, with all entries that are watched.
func soakWorld(text string) string {
	var values []string
	for i := range attributes {
		values = append(values, attribute(i)+`: "0"`)
	}
	return fmt.Sprintf("project: {attributes: {soak: %s}}\ninstances: [{name: demo-vm, metadata: {instance: {attributes: {%s}}}}]\n",
		text, strings.Join(values, ", "))
}

func attribute(i int) string { return fmt.Sprintf("soak-%d", i) }

// newSoak returns a soak without goroutines. Its duration is set by soakVariable.
func newSoak(t *testing.T, duration time.Duration) *soak {
	t.Helper()
	if text := os.Getenv(soakVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	emu := servertest.New(t, servertest.YAML(soakWorld("loaded")))
	emu.RotateKeys() // generating the first keys is not measured
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	t.Cleanup(cancel)
	late, stop := context.WithTimeout(t.Context(), duration+patience)
	t.Cleanup(stop)
	patient, giveUp := context.WithCancelCause(late)
	t.Cleanup(func() { giveUp(nil) })
	return &soak{T: t, emu: emu, ctx: ctx, patient: patient, giveUp: giveUp}
}

// TestSoak checks an emulator under 200 goroutines that edit, wait, mint, rotate, advance, reset,
// replace the world, play events and list state. No waiter may miss a change, no token may
// outlive its expiry, no goroutine may be left, and memory must be bounded.
func TestSoak(t *testing.T) { //nolint:paralleltest // needs the whole machine
	before := heap()
	s := newSoak(t, 2*time.Second)
	s.alone(attribute(0), 20)
	for i := range attributes - 1 {
		s.edit(attribute(i + 1)) // starts two goroutines each
	}
	s.crowd(25, func() { s.outlive(s.mintAccess) })
	s.crowd(25, func() { s.outlive(s.mintIdentity) })
	s.crowd(8, s.advance)
	s.crowd(1, s.jump)
	s.crowd(11, s.look)
	s.crowd(1, s.audit)
	s.crowd(10, s.fail)
	s.crowd(2, s.rotate)
	s.crowd(1, s.preempt)
	s.crowd(1, s.replace)
	s.crowd(4, s.reset)
	s.all.Wait()

	s.emu.Client().CloseIdleConnections()
	const bound = 48 << 20
	if grown := heap() - before; grown > bound {
		t.Errorf("%d MB are kept, want at most %d", grown>>20, bound>>20)
	}
	t.Logf("%d requests were answered, %d changes seen, %d tokens good and %d spent; %d kB are kept",
		s.requests.Load(), s.seen.Load(), s.good.Load(), s.spent.Load(), (heap()-before)>>10)
}

// heap returns the number of heap bytes in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) //nolint:gosec // far below the limit of int64
}

// Errorf stops all goroutines after the first failure, so that its consequences are not reported.
func (s *soak) Errorf(format string, arguments ...any) {
	s.Helper()
	if s.patient.Err() == nil {
		s.giveUp(errFailed)
		s.T.Errorf(format, arguments...)
	}
}

var errFailed = errors.New("the test has failed")

// crowd starts n goroutines that repeat an action until the time is over.
func (s *soak) crowd(count int, work func()) {
	for range count {
		s.all.Go(func() {
			for s.ctx.Err() == nil && s.patient.Err() == nil {
				work()
			}
		})
	}
}

// get requests a resource. The answer must be 200 unless the time is over.
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

// pass waits until emulator time has passed. It returns false if the test ends or the clock is
// reset first.
func (s *soak) pass(d time.Duration) bool {
	s.calm.RLock() // between the two changes of undone, a reset would go unnoticed
	undone, begun := s.undone.Load(), s.emu.Now()
	s.calm.RUnlock()
	seconds := int(d/time.Second) + 1
	_, status, _ := s.get(s.ctx, fmt.Sprintf("%sinstance/zone?wait_for_change=true&timeout_sec=%d", root, seconds))
	ended := s.emu.Now()
	if status == 0 || s.undone.Load() != undone {
		return false
	}
	if ended.Before(begun.Add(time.Duration(seconds) * time.Second)) {
		s.Errorf("who asks at %v to wait for %d s is answered by %v", begun, seconds, ended)
	}
	return true
}

// after runs first and, when some emulator time has passed, second, unless a reset has undone the
// effect of first.
func (s *soak) after(d time.Duration, first, second func()) {
	s.calm.RLock()
	first()
	undone := s.undone.Load()
	s.calm.RUnlock()
	if !s.pass(d) {
		return
	}
	s.calm.RLock()
	defer s.calm.RUnlock()
	if s.undone.Load() == undone {
		second()
	}
}

// credential is a token that must be valid until one time and invalid after another.
type credential struct {
	until, after time.Time
	refusal      func() error // the current reason why the token is not valid
}

// outlive gets a token, and checks that it is valid until its expiry and invalid afterwards.
func (s *soak) outlive(mint func() credential) {
	var minted credential
	check := func() {
		begun := s.emu.Now()
		err := minted.refusal()
		switch ended := s.emu.Now(); {
		case err != nil && ended.Before(minted.until):
			s.Errorf("a token that is good until %v is refused by %v: %v", minted.until, ended, err)
		case err == nil && begun.After(minted.after):
			s.Errorf("a token that was good until %v is accepted at %v", minted.after, begun)
		case err == nil:
			s.good.Add(1)
		default:
			s.spent.Add(1)
		}
	}
	s.after(time.Hour+time.Second, func() {
		minted = mint()
		check()
	}, check)
}

// mintAccess gets an access token.
func (s *soak) mintAccess() credential {
	earliest := s.emu.Now()
	_, status, body := s.get(s.patient, root+"instance/service-accounts/default/token")
	latest := s.emu.Now()
	var access struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &access); err != nil || status != http.StatusOK {
		s.Errorf("token: %d %s", status, body)
	}
	left := time.Duration(access.ExpiresIn) * time.Second
	return credential{earliest.Add(left), latest.Add(left + time.Second), func() error {
		_, status, body := s.get(s.patient, "https://oauth2.googleapis.com/tokeninfo?access_token="+url.QueryEscape(access.Token))
		if status == http.StatusBadRequest {
			return errors.New(body)
		}
		return nil
	}}
}

// mintIdentity gets an ID token, which a service must accept.
func (s *soak) mintIdentity() credential {
	earliest := s.emu.Now()
	_, status, text := s.get(s.patient, identity)
	latest := s.emu.Now()
	claims := jwt.RegisteredClaims{ExpiresAt: &jwt.NumericDate{}}
	if _, _, err := jwt.NewParser().ParseUnverified(text, &claims); err != nil || status != http.StatusOK {
		s.Errorf("identity: %d %s", status, text)
	}
	expires := claims.ExpiresAt.Time
	if expires.Sub(earliest) < token.MinimumLeft || expires.Sub(latest) > token.IDTokenLifetime {
		s.Errorf("an ID token that is asked for from %v to %v expires at %v", earliest, latest, expires)
	}
	return credential{expires, expires, func() error {
		_, err := verify(s.emu.Client(), text, jwt.WithTimeFunc(s.emu.Now))
		return err
	}}
}

// preempt preempts the VM. The metadata must show the notice at once, and the stop when the
// notice is over.
func (s *soak) preempt() {
	s.after(30*time.Second, func() {
		s.emu.Event("preempt")
		if got := s.emu.Metadata("instance/preempted"); got != "TRUE" {
			s.Errorf("a VM is preempted, and %v", got)
		}
	}, func() {
		if got := s.emu.Events(); len(got) > 0 {
			s.Errorf("a VM has been preempted, and still %v", got[0].Playing)
		}
		s.emu.Metadata("instance/shutdownDetails") // must exist
	})
}

// replace replaces the world and then restores it.
func (s *soak) replace() {
	s.pause(100 * time.Millisecond)
	s.undo(func() {
		s.emu.SetState([]byte(soakWorld("replaced")))
		if got := s.emu.Metadata("project/attributes/soak"); got != "replaced" {
			s.Errorf("the world has been replaced, and is %q", got)
		}
		s.emu.Reset()
		if got := s.emu.Metadata("project/attributes/soak"); got != "loaded" {
			s.Errorf("the world has been reset, and is %q", got)
		}
	})
}

func (s *soak) advance() {
	s.pause(20 * time.Millisecond)
	s.emu.Advance(time.Second)
}

// jump expires all existing tokens, and then lets the other goroutines work for a while.
func (s *soak) jump() {
	s.pause(250 * time.Millisecond)
	s.emu.Advance(2 * time.Hour)
}

func (s *soak) rotate() {
	s.pause(time.Second) // generating a key takes processor time from the other goroutines
	s.emu.RotateKeys()
}

func (s *soak) reset() {
	s.pause(100 * time.Millisecond)
	s.undo(s.emu.Reset)
}

// undo runs a reset while no goroutine relies on the state of the emulator.
func (s *soak) undo(what func()) {
	s.calm.Lock()
	defer s.calm.Unlock()
	s.undone.Add(1)
	defer s.undone.Add(1)
	what()
}

// look waits for a moment of the emulator's time.
func (s *soak) look() {
	s.pause(100 * time.Millisecond)
	s.pass(time.Minute)
}

// audit reads the journal and the lists of the control plane.
func (s *soak) audit() {
	s.pause(500 * time.Millisecond)
	if got := len(s.emu.Requests("*")); got > 1000 {
		s.Errorf("%d requests are remembered", got)
	}
	if got := s.emu.Waiters(); len(got) > 200 {
		s.Errorf("%d wait", len(got))
	}
	if got := s.emu.State(); !json.Valid(got) {
		s.Errorf("the world is %s", got)
	}
}

// fail activates a fault on a route that no other goroutine uses.
func (s *soak) fail() {
	s.pause(20 * time.Millisecond)
	path := "/robot/v1/metadata/x509/" + worker
	failing := s.emu.Fail("keys.account.x509", servertest.Status(http.StatusServiceUnavailable), servertest.Path(path))
	s.get(s.patient, "https://www.googleapis.com"+path)
	failing.Remove()
}

// pause slows down goroutines that use much processor time.
func (s *soak) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}
