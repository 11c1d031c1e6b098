package servertest_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// TestNoChangeIsMissed checks that a waiting client always learns of the last change, whatever it
// did when the change happened.
func TestNoChangeIsMissed(t *testing.T) { //nolint:paralleltest // the machine is for this
	s := newSoak(t, time.Second)
	s.alone(attribute(0), 20)
	s.all.Wait()
	t.Logf("%d changes were seen", s.seen.Load())
}

// follower receives the changes of an attribute. A slow follower may miss some.
type follower chan string

// follow starts a client that waits for one change of an attribute after the other.
func (s *soak) follow(ctx context.Context, name string) follower {
	seen := make(follower, 1) // the newest value, until it is read
	s.all.Go(func() {
		for etag := "0"; ctx.Err() == nil; {
			header, status, body := s.get(ctx, root+"instance/attributes/"+name+"?wait_for_change=true&last_etag="+etag)
			if status == 0 {
				continue
			}
			if status != http.StatusOK || header.Get("ETag") == etag {
				s.Errorf("a waiter is woken by no change of %s: %d %s", name, status, body)
			}
			etag = header.Get("ETag")
			select {
			case <-seen:
			default:
			}
			seen <- body
		}
	})
	return seen
}

// edit starts a client that counts in its own attribute, and a client that waits for its changes.
// Each number must arrive.
func (s *soak) edit(name string) {
	waiting, enough := context.WithCancel(s.patient)
	seen := s.follow(waiting, name)
	s.all.Go(func() {
		defer enough()
		for number := 1; s.ctx.Err() == nil && s.patient.Err() == nil; number++ {
			s.calm.RLock()
			s.still.RLock()
			s.set(name, number)
			s.await(name, number, seen)
			s.still.RUnlock()
			s.calm.RUnlock()
		}
	})
}

// alone starts a client that counts in an attribute that many wait for, while nothing else
// changes. A waiter that missed the last change is not woken by other changes, so the test
// notices.
func (s *soak) alone(name string, followers int) {
	waiting, enough := context.WithCancel(s.patient)
	all := make([]follower, followers)
	for i := range all {
		all[i] = s.follow(waiting, name)
	}
	s.all.Go(func() {
		defer enough()
		for number := 1; s.ctx.Err() == nil && s.patient.Err() == nil; {
			s.calm.RLock()
			s.still.Lock()
			for range 20 {
				for range 2 { // the waiters are at any point of their work by then
					number++
					s.set(name, number)
				}
				for _, seen := range all {
					s.await(name, number, seen)
				}
			}
			s.still.Unlock()
			s.calm.RUnlock()
			s.pause(20 * time.Millisecond)
		}
	})
}

func (s *soak) set(name string, number int) {
	s.emu.SetMetadata("instance/attributes/"+name, strconv.Itoa(number))
}

// await returns when a follower has received a number.
func (s *soak) await(name string, number int, seen follower) {
	for {
		select {
		case value := <-seen:
			if value == strconv.Itoa(number) {
				s.seen.Add(1)
				return
			}
		case <-s.patient.Done():
			if !errors.Is(context.Cause(s.patient), errFailed) {
				s.lost.Do(func() { s.T.Errorf("%s is %d, and whoever waits for it is not told", name, number) })
			}
			return
		}
	}
}
