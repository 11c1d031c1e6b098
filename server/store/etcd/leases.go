//go:build cluster

package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"gcp-metadata-emulator/server/records"
)

// leases ends records. Records that last as long share a lease for a while, so that most changes are
// one request.
type leases struct {
	client  *clientv3.Client
	running context.Context //nolint:containedctx // the life of the store, in which the own lease is kept alive

	mu     sync.Mutex
	timed  map[time.Duration]timed
	own    clientv3.LeaseID // kept alive until the process ends
	exists bool
}

type timed struct {
	id    clientv3.LeaseID
	until time.Time // records that begin later need another lease
}

// ownTTL is the time in seconds after which the records of a process that was killed end.
const ownTTL = 5

// of returns the lease of an entry, or none.
func (l *leases) of(ctx context.Context, entry records.Entry) (clientv3.LeaseID, error) {
	switch {
	case entry.Mine:
		return l.mine(ctx)
	case entry.Lasts > 0:
		return l.lasting(ctx, entry.Lasts)
	}
	return clientv3.NoLease, nil
}

// lasting returns a lease that ends after a duration, or up to an eighth of it later.
func (l *leases) lasting(ctx context.Context, lasts time.Duration) (clientv3.LeaseID, error) {
	const shared = 8
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() //nolint:forbidigo // leases end by the machine's clock
	if known, ok := l.timed[lasts]; ok && now.Before(known.until) {
		return known.id, nil
	}
	got, err := l.client.Grant(ctx, int64((lasts+lasts/shared)/time.Second)+1)
	if err != nil {
		return 0, err
	}
	l.timed[lasts] = timed{got.ID, now.Add(lasts / shared)}
	return got.ID, nil
}

// mine returns a lease that is kept alive while the process runs.
func (l *leases) mine(ctx context.Context) (clientv3.LeaseID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exists {
		return l.own, nil
	}
	got, err := l.client.Grant(ctx, ownTTL)
	if err != nil {
		return 0, err
	}
	alive, err := l.client.KeepAlive(l.running, got.ID) //nolint:contextcheck // it outlasts the change
	if err != nil {
		return 0, err
	}
	l.own, l.exists = got.ID, true
	go func() {
		for range alive { // until the lease ends, or the process
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.own == got.ID {
			l.exists = false
		}
	}()
	return got.ID, nil
}

// forget makes later changes use new leases.
func (l *leases) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.timed)
	l.exists = false
}

// revoke ends the records of this process at once.
func (l *leases) revoke() {
	const most = time.Second
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exists {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.running), most)
		defer cancel()
		_, _ = l.client.Revoke(ctx, l.own) // otherwise it ends soon by itself
	}
}
