//go:build cluster

package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"gcp-metadata-emulator/server/records"
)

// leases ends records. Records with the same lifetime share a lease for a while, so most changes need a
// single request.
type leases struct {
	running context.Context //nolint:containedctx // the life of the store, in which the own lease is kept alive

	mu    sync.Mutex
	timed map[time.Duration]timed
	own   clientv3.LeaseID   // kept alive until the process ends, or the servers do not know it; or NoLease
	stop  context.CancelFunc // ends keeping it alive
}

type timed struct {
	id    clientv3.LeaseID
	until time.Time // records that begin later need another lease
}

// ownTTL is the time in seconds after which the records of a killed process end.
const ownTTL = 5

// of returns the lease of an entry. If the entry needs no lease, it returns clientv3.NoLease.
func (l *leases) of(ctx context.Context, client *clientv3.Client, entry records.Entry) (clientv3.LeaseID, error) {
	switch {
	case entry.Mine:
		return l.mine(ctx, client)
	case entry.Lasts > 0:
		return l.lasting(ctx, client, entry.Lasts)
	}
	return clientv3.NoLease, nil
}

// lasting returns a lease that ends after a duration, or up to an eighth of it later.
func (l *leases) lasting(ctx context.Context, client *clientv3.Client, lasts time.Duration) (clientv3.LeaseID, error) {
	const shared = 8
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() //nolint:forbidigo // leases end by the machine's clock
	if known, ok := l.timed[lasts]; ok && now.Before(known.until) {
		return known.id, nil
	}
	got, err := client.Grant(ctx, int64((lasts+lasts/shared)/time.Second)+1)
	if err != nil {
		return 0, err
	}
	l.timed[lasts] = timed{got.ID, now.Add(lasts / shared)}
	return got.ID, nil
}

// mine returns a lease that is kept alive while the process runs.
func (l *leases) mine(ctx context.Context, client *clientv3.Client) (clientv3.LeaseID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own != clientv3.NoLease {
		return l.own, nil
	}
	got, err := client.Grant(ctx, ownTTL)
	if err != nil {
		return 0, err
	}
	l.own = got.ID
	l.keep(client) //nolint:contextcheck // the lease outlives the change
	return got.ID, nil
}

// keep begins to keep the own lease alive. The caller must hold mu.
func (l *leases) keep(client *clientv3.Client) {
	id := l.own
	var ctx context.Context
	ctx, l.stop = context.WithCancel(l.running)
	go func() {
		for ctx.Err() == nil && l.keepWhile(ctx, client, id) {
		}
	}()
}

// keepWhile keeps a lease alive until etcd's client gives up. The client gives up if no server answers for
// the lifetime of the lease. keepWhile reports whether to continue: if servers start again, they give each
// lease all its time.
func (l *leases) keepWhile(ctx context.Context, client *clientv3.Client, id clientv3.LeaseID) bool {
	const again = 500 * time.Millisecond
	alive, err := client.KeepAlive(ctx, id)
	if err == nil {
		for range alive { // nothing is to be done with the answers
		}
	}
	return l.isKnown(ctx, client, id) && pause(ctx, again)
}

// isKnown reports whether the servers may know an own lease. If they do not, later changes use a new lease.
func (l *leases) isKnown(ctx context.Context, client *clientv3.Client, id clientv3.LeaseID) bool {
	left, err := client.TimeToLive(ctx, id)
	if err != nil || left.TTL >= 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == id {
		l.own = clientv3.NoLease
		l.stop()
	}
	return false
}

// move makes another client keep the own lease alive.
func (l *leases) move(to *clientv3.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own != clientv3.NoLease {
		l.stop()
		l.keep(to)
	}
}

// forget makes later changes use new leases, because the servers do not know a lease. The own lease stays
// if they know it.
func (l *leases) forget(ctx context.Context, client *clientv3.Client) {
	l.mu.Lock()
	clear(l.timed)
	own := l.own
	l.mu.Unlock()
	if own != clientv3.NoLease {
		l.isKnown(ctx, client, own)
	}
}

// revoke ends the records of this process at once.
func (l *leases) revoke(client *clientv3.Client) {
	const most = time.Second
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own != clientv3.NoLease {
		l.stop()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.running), most)
		defer cancel()
		_, _ = client.Revoke(ctx, l.own) // otherwise it ends soon by itself
	}
}
