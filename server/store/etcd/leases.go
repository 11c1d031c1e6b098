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
	running context.Context //nolint:containedctx // the life of the store, in which the own lease is kept alive

	mu    sync.Mutex
	timed map[time.Duration]timed
	own   clientv3.LeaseID                        // kept alive until the process ends
	alive <-chan *clientv3.LeaseKeepAliveResponse // closed when the own lease is not kept alive any more; nil: there is none
}

type timed struct {
	id    clientv3.LeaseID
	until time.Time // records that begin later need another lease
}

// ownTTL is the time in seconds after which the records of a process that was killed end.
const ownTTL = 5

// of returns the lease of an entry, or none.
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
	if l.alive != nil {
		return l.own, nil
	}
	got, err := client.Grant(ctx, ownTTL)
	if err != nil {
		return 0, err
	}
	return got.ID, l.keep(client, got.ID)
}

// keep keeps a lease alive until it ends, or the process, or the client. The caller must hold mu.
func (l *leases) keep(client *clientv3.Client, id clientv3.LeaseID) error {
	alive, err := client.KeepAlive(l.running, id)
	if err != nil {
		return err
	}
	l.own, l.alive = id, alive
	go func() {
		for range alive { // nothing is to be done with the answers
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.alive == alive {
			l.alive = nil
		}
	}()
	return nil
}

// move makes another client keep the own lease alive.
func (l *leases) move(to *clientv3.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alive != nil && l.keep(to, l.own) != nil {
		l.alive = nil
	}
}

// forget makes later changes use new leases.
func (l *leases) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.timed)
	l.alive = nil
}

// revoke ends the records of this process at once.
func (l *leases) revoke(client *clientv3.Client) {
	const most = time.Second
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alive != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.running), most)
		defer cancel()
		_, _ = client.Revoke(ctx, l.own) // otherwise it ends soon by itself
	}
}
