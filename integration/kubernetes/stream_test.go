//go:build cluster

package kubernetes_test

import (
	"sync"
	"time"

	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// stream holds the events of a fake watch until somebody takes them.
type stream struct {
	from   watch.Interface
	chosen func(apiruntime.Object) bool
	events chan watch.Event
	stop   func()
	ended  chan struct{}
}

func newStream(from watch.Interface, chosen func(apiruntime.Object) bool) *stream {
	ended := make(chan struct{})
	return &stream{from: from, chosen: chosen, events: make(chan watch.Event), ended: ended, stop: sync.OnceFunc(func() { close(ended) })}
}

// run takes events until the end of the stream.
func (s *stream) run() {
	defer s.from.Stop()
	var kept []watch.Event
	for {
		var first watch.Event
		var to chan watch.Event // nil: there is nothing to send
		if len(kept) > 0 {
			first, to = kept[0], s.events
		}
		select {
		case event := <-s.from.ResultChan():
			if s.chosen(event.Object) {
				kept = append(kept, event)
			}
		case to <- first:
			kept = kept[1:]
		case <-s.ended:
			return
		}
	}
}

// awaitRoom returns when the stream has taken most events, or has ended.
func (s *stream) awaitRoom() {
	const room = 50
	for len(s.from.ResultChan()) > room {
		select {
		case <-s.ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
}
