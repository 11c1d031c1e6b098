//go:build cluster

package etcd

import (
	"bytes"
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"gcp-metadata-emulator/server/records"
)

// After a backup was restored, other changes may have the versions of those that were lost, so that no
// version tells the histories apart. The values of the tick do: each change gives it one of its own.

// compare compares each change with the change before it, until the context ends. It finds other changes
// under versions that the copy has seen if there are still more of them, which the watch gets.
func (s *Store) compare(ctx context.Context) {
	from := s.copied.Seen()
	last, isKnown := s.copied.Find(tick)
	if isKnown {
		from = last.Version
	}
	for news := range s.client().Watch(ctx, s.prefix+tick, clientv3.WithPrevKV(), clientv3.WithRev(from+1)) {
		for _, event := range news.Events {
			if before := event.PrevKv; isKnown && before != nil && !isRecord(before, last) {
				_ = s.goBack() // it is the watch that has the error
				return
			}
			last, isKnown = records.Record{Version: event.Kv.ModRevision, Value: event.Kv.Value}, event.Type == clientv3.EventTypePut
		}
	}
}

// continues reports whether what the servers have goes on from the tick that the copy had. now is the tick
// that the servers have by now.
func (s *Store) continues(ctx context.Context, known records.Record, now []*mvccpb.KeyValue) bool {
	if len(now) > 0 && isRecord(now[0], known) {
		return true
	}
	then, err := s.client().Get(ctx, s.prefix+tick, clientv3.WithRev(known.Version))
	if errors.Is(err, rpctypes.ErrCompacted) {
		return false // nobody can know
	}
	return err != nil || len(then.Kvs) > 0 && isRecord(then.Kvs[0], known)
}

func isRecord(one *mvccpb.KeyValue, record records.Record) bool {
	return one.ModRevision == record.Version && bytes.Equal(one.Value, record.Value)
}
