package servertest_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// TestNoChangeIsMissed checks that who waits for a change is told of the last one there was, whatever he was doing then.
func TestNoChangeIsMissed(t *testing.T) { //nolint:paralleltest // the machine is for this
	s := newSoak(t, time.Second)
	s.alone(attribute(0), 20)
	s.all.Wait()
	t.Logf("%d changes were seen", s.seen.Load())
}

// follower is told of an attribute, of each change that he is not too late for.
type follower chan string

// follow makes somebody wait for one change of an attribute after the other.
func (s *soak) follow(ctx context.Context, name string) follower {
	seen := make(follower, 1) // the newest value, unless it was taken
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

// edit is one who counts in an attribute which is his, and one who waits for changes of it: each number reaches him.
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

// alone is one who counts in an attribute that many wait for, while nobody else changes anything: who has missed the last
// change is not woken by the next one of others, and waits until it is noticed.
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
				for range 2 { // in the middle of whatever they do by then
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

// await returns when a follower has been told a number.
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
