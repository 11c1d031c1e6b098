package replica

import (
	"context"
	"path"
	"time"

	"gcp-metadata-emulator/server/records"
)

// membersFolder has a record for each replica, with the URL at which the others can ask it. A record ends
// with the process of its replica.
const membersFolder = "members"

// Member is a replica that runs, as the others know it.
type Member struct{ Name, URL string }

// Members returns the replicas that have announced themselves, in the order of their names.
func (r *Replica) Members() []Member {
	var all []Member
	for _, record := range r.store.Copy().List(membersFolder) {
		all = append(all, Member{path.Base(record.Name), string(record.Value)})
	}
	return all
}

// Seen returns the version of the newest change that this replica has seen.
func (r *Replica) Seen() int64 { return r.store.Copy().Seen() }

// CatchUp returns when this replica has seen every change up to a version, or with the cause of the context's end.
func (r *Replica) CatchUp(ctx context.Context, version int64) error {
	return r.store.Copy().Await(ctx, version)
}

// Announce tells the other replicas the URL of this replica, in the form of peers.Base, until the context ends. It
// tells them again if the store has lost the record.
func (r *Replica) Announce(ctx context.Context, url string) {
	own := records.Entry{Name: membersFolder + "/" + r.name, Value: []byte(url), Mine: true}
	news := make(chan struct{}, 1)
	tell := func() {
		select {
		case news <- struct{}{}:
		default: // it is going to look anyway
		}
	}
	tell()
	r.store.Copy().Follow(membersFolder, func([]records.Record) { tell() })
	go r.announce(ctx, own, news)
}

// announce keeps a record in the store until the context ends, and removes it then.
func (r *Replica) announce(ctx context.Context, own records.Entry, news <-chan struct{}) {
	const again = time.Second
	for {
		var retry <-chan time.Time
		if _, known := r.store.Copy().Find(own.Name); !known && r.commit(ctx, records.Change{Put: []records.Entry{own}}) != nil {
			retry = time.After(again)
		}
		select {
		case <-news:
		case <-retry:
		case <-ctx.Done():
			_ = r.commit(context.WithoutCancel(ctx), records.Change{Delete: []string{own.Name}}) // otherwise it ends soon by itself
			return
		}
	}
}

// commit makes a change within the usual time.
func (r *Replica) commit(ctx context.Context, change records.Change) error {
	ctx, cancel := r.bounds.within(ctx)
	defer cancel()
	return r.store.Commit(ctx, change)
}
