//go:build cluster

package etcd

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"gcp-metadata-emulator/server/records"
)

// After a backup was restored, other changes may have the versions of the lost changes, so versions
// cannot distinguish the histories. The values of the tick can: each change gives it a new value.

// history records how far the servers' changes are known to continue the loaded changes. The two watches may
// get changes at different times, and so from different servers: they must get the same ticks.
type history struct {
	seen    int64          // the version up to which they do
	last    records.Record // the tick at this version
	isKnown bool           // there was one

	mu    sync.Mutex
	ahead [2][]records.Record // the ticks that one watch has got already, in their order; only one of them has any
}

// The watches of a history.
const (
	ofAll = iota
	ofTick
)

// begin returns the history of records that were just loaded.
func (s *Store) begin() *history {
	last, isKnown := s.copied.Find(tick)
	return &history{seen: s.copied.Seen(), last: last, isKnown: isKnown}
}

// compare compares each change with the change before it, until the context ends or the servers do not know
// the earlier change. Other changes may have the versions of changes that the copy has seen. compare finds
// them as long as there are still more of them; the watch gets these.
func (s *Store) compare(ctx context.Context) error {
	known := s.compared
	for news := range s.client().Watch(ctx, s.prefix+tick, clientv3.WithPrevKV(), clientv3.WithRev(known.seen+1)) {
		if err := problemOf(news); err != nil {
			return err
		}
		for _, event := range news.Events {
			if err := known.follow(event); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// follow adds a change of the tick, if it continues the history.
func (h *history) follow(event *clientv3.Event) error {
	before := event.PrevKv
	switch {
	case before == nil && !event.IsCreate():
		return errCompacted // between the change and this answer
	case h.isKnown != (before != nil), before != nil && !isRecord(before, h.last):
		return errLost
	}
	h.last = records.Record{Version: event.Kv.ModRevision, Value: event.Kv.Value}
	h.seen, h.isKnown = h.last.Version, event.Type == clientv3.EventTypePut
	return h.meet(ofTick, event.Kv)
}

// meet compares a tick of a watch with the same tick of the other watch.
func (h *history) meet(watch int, got *mvccpb.KeyValue) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	other := &h.ahead[1-watch]
	if len(*other) == 0 {
		h.ahead[watch] = append(h.ahead[watch], records.Record{Version: got.ModRevision, Value: got.Value})
		return nil
	}
	if !isRecord(got, (*other)[0]) {
		return errLost
	}
	*other = (*other)[1:]
	return nil
}

// continues returns an error unless the servers' changes continue from the copy's tick, or compare will find
// out. seen is the copy's version, and now the later ticks of the servers.
func (s *Store) continues(ctx context.Context, seen int64, known records.Record, now []*mvccpb.KeyValue) error {
	switch {
	case len(now) > 0 && (isRecord(now[0], known) || now[0].ModRevision > seen):
		return nil
	case len(now) > 0:
		return errLost
	}
	then, err := s.client().Get(ctx, s.prefix+tick, clientv3.WithRev(known.Version)) // before somebody deleted it
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return errCompacted
	case err == nil && (len(then.Kvs) == 0 || !isRecord(then.Kvs[0], known)):
		return errLost
	}
	return nil
}

func isRecord(one *mvccpb.KeyValue, record records.Record) bool {
	return one.ModRevision == record.Version && bytes.Equal(one.Value, record.Value)
}
