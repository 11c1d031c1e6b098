//go:build cluster

package etcd

import (
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"gcp-metadata-emulator/server/records"
)

// The two watches may get changes of two histories, from before and after the restore of a backup.
func TestHistory(t *testing.T) {
	t.Parallel()
	type got struct {
		watch   int
		version int64
		value   string
		before  string // empty: the server does not say
		created int64
	}
	kept := records.Record{Version: 1, Value: []byte("kept")}
	for name, test := range map[string]struct {
		isKnown bool
		changes []got
		want    error
	}{
		"one history": {true, []got{{ofAll, 2, "a", "", 1}, {ofAll, 3, "b", "", 1}, {ofTick, 2, "a", "kept", 1}, {ofTick, 3, "b", "a", 1}, {ofTick, 4, "c", "b", 1}, {ofAll, 4, "c", "", 1}}, nil},
		"the watch of the tick has only the other history": {true, []got{{ofAll, 2, "lost", "", 1}, {ofTick, 2, "new", "kept", 1}}, errLost},
		"the watch of all has only the other history":      {true, []got{{ofTick, 2, "lost", "kept", 1}, {ofTick, 3, "lost-2", "lost", 1}, {ofAll, 3, "new", "", 1}}, errLost},
		"both watches have seen both histories":            {true, []got{{ofAll, 2, "lost", "", 1}, {ofTick, 2, "lost", "kept", 1}, {ofTick, 3, "new-2", "new", 1}}, errLost},
		"the servers have forgotten the change before":     {true, []got{{ofTick, 3, "new", "", 1}}, errCompacted},
		"the servers have lost all data":                   {true, []got{{ofTick, 3, "new", "", 3}}, errLost},
		"the first change":                                 {false, []got{{ofTick, 3, "first", "", 3}}, nil},
		"there was a change before the first one":          {false, []got{{ofTick, 3, "new", "other", 2}}, errLost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &history{seen: 1}
			if test.isKnown {
				h.last, h.isKnown = kept, true
			}
			var err error
			for _, one := range test.changes {
				if err != nil {
					t.Fatal(err)
				}
				kv := &mvccpb.KeyValue{ModRevision: one.version, CreateRevision: one.created, Value: []byte(one.value)}
				if one.watch == ofAll {
					err = h.meet(ofAll, kv)
					continue
				}
				event := &clientv3.Event{Type: clientv3.EventTypePut, Kv: kv}
				if one.before != "" {
					event.PrevKv = &mvccpb.KeyValue{ModRevision: one.version - 1, Value: []byte(one.before)}
				}
				err = h.follow(event)
			}
			if !errors.Is(err, test.want) {
				t.Errorf("the last change has error %v, want %v", err, test.want)
			}
			if test.want == nil && (len(h.ahead[ofAll]) > 0 || test.isKnown && len(h.ahead[ofTick]) > 0) {
				t.Error("ticks are left:", fmt.Sprint(h.ahead))
			}
		})
	}
}
