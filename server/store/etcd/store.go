//go:build cluster

package etcd

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"gcp-metadata-emulator/server/records"
)

// Config holds the servers and the limits. Endpoints, Prefix, Timeout and Logger are required.
type Config struct {
	Endpoints []string // HOST:PORT
	Prefix    string   // of the names of all records, without slashes at its ends

	TLS      *tls.Config                           // nil: plain text
	User     string                                // empty: nobody
	Password func(context.Context) (string, error) // returns the present password of the user; nil without a user

	Timeout time.Duration // for which the first answer is waited for
	Logger  *slog.Logger
}

// Store is the access of a process. It implements records.Store.
type Store struct {
	config  Config
	prefix  string
	copied  *records.Copy
	logger  *slog.Logger
	session atomic.Pointer[session]

	contact  atomic.Int64 // Unix nanoseconds of the last answer
	isAhead  atomic.Bool  // the copy has changes that the servers have lost
	stale    chan error   // has an element if all records must be loaded again: why
	leases   leases
	compared *history                             // since the last load; only follow knows it
	problem  atomic.Pointer[records.ProblemError] // why the servers have refused the last ping; nil: they have not
	ended    sync.WaitGroup
	end      context.CancelFunc
}

// tick is the name of a record that every change writes. Its version is the version of the last change, and
// its value is of this change alone.
const tick = "last"

// Open connects to the servers, and copies all records. Close ends it.
func Open(ctx context.Context, config Config) (*Store, error) {
	begun, err := config.connect(ctx)
	if err != nil {
		return nil, err
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{
		config: config, prefix: config.prefix(), copied: records.NewCopy(), logger: config.Logger, stale: make(chan error, 1),
		leases: leases{running: running, timed: make(map[time.Duration]timed)}, end: end,
	}
	s.session.Store(begun)
	first, cancel := context.WithTimeout(ctx, config.Timeout)
	defer cancel()
	if err := s.load(first); err != nil {
		end()
		_ = begun.client.Close() // nothing was written
		return nil, unreachable(config.find(ctx, err))
	}
	s.ended.Go(func() { s.follow(running) })
	s.ended.Go(func() { s.ping(running) })
	return s, nil
}

// Close ends the access, and the records with the lifetime of this process.
func (s *Store) Close() {
	s.leases.revoke(s.client())
	s.end()
	s.ended.Wait()
	_ = s.client().Close() // nothing is under way
}

func (s *Store) client() *clientv3.Client { return s.session.Load().client }

// failed returns the error for an error of etcd's client.
func (s *Store) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return unreachable(s.config.explain(err))
}

// unreachable returns an error as an UnreachableError.
func unreachable(err error) error {
	if _, is := errors.AsType[*records.UnreachableError](err); err == nil || is {
		return err
	}
	return &records.UnreachableError{Err: err}
}

// Copy returns the copy of the records in this process.
func (s *Store) Copy() *records.Copy { return s.copied }

// Contact returns the time of the servers' last answer. If the servers have lost changes that the copy
// still has, it returns the zero time.
func (s *Store) Contact() time.Time {
	if s.isAhead.Load() {
		return time.Time{}
	}
	return time.Unix(0, s.contact.Load())
}

func (s *Store) touch() {
	s.contact.Store(time.Now().UnixNano()) //nolint:forbidigo // servers answer by the machine's clock
}

var errLost = errors.New("the store has lost changes: its servers were restored from a backup, or their data was deleted")

// answered notes an answer. seen is the copy's version before the request. If a server has kept its
// data, it never answers with a lower revision.
func (s *Store) answered(header *etcdserverpb.ResponseHeader, seen int64) error {
	if header.GetRevision() >= seen {
		s.touch()
		return nil
	}
	return s.reload(errLost)
}

// reload makes the watch load all records again. It returns the reason.
func (s *Store) reload(why error) error {
	select {
	case s.stale <- why:
	default: // the watch will load all records anyway
	}
	return why
}

// Sync asks for the version of the last change, and waits until the copy has it.
func (s *Store) Sync(ctx context.Context) error {
	seen := s.copied.Seen()
	got, err := s.client().Get(ctx, s.prefix+tick)
	if err == nil {
		err = s.answered(got.Header, seen)
	}
	if err != nil {
		return s.failed(ctx, err)
	}
	if len(got.Kvs) == 0 {
		return nil
	}
	return unreachable(s.copied.Await(ctx, got.Kvs[0].ModRevision))
}

// Commit makes a change in a single transaction.
func (s *Store) Commit(ctx context.Context, change records.Change) error {
	seen := s.copied.Seen()
	got, err := s.transact(ctx, change)
	if errors.Is(err, rpctypes.ErrLeaseNotFound) { // the servers have lost it
		s.leases.forget(ctx, s.client())
		got, err = s.transact(ctx, change)
	}
	if err == nil {
		err = s.answered(got.Header, seen)
	}
	if err != nil {
		return s.failed(ctx, err)
	}
	if got.Succeeded {
		return unreachable(s.copied.Await(ctx, got.Header.Revision))
	}
	if found := got.Responses[0].GetResponseRange(); len(found.GetKvs()) > 0 {
		if err := s.copied.Await(ctx, found.GetKvs()[0].GetModRevision()); err != nil {
			return unreachable(err)
		}
	}
	return records.ErrConflict
}

func (s *Store) transact(ctx context.Context, change records.Change) (*clientv3.TxnResponse, error) {
	operations, err := s.operations(ctx, change)
	if err != nil {
		return nil, err
	}
	return s.client().Txn(ctx).If(s.conditions(change)...).Then(operations...).Else(clientv3.OpGet(s.prefix + tick)).Commit()
}

func (s *Store) conditions(change records.Change) []clientv3.Cmp {
	var all []clientv3.Cmp
	for _, one := range change.If {
		all = append(all, clientv3.Compare(clientv3.ModRevision(s.prefix+one.Name), "=", one.Version))
	}
	return all
}

func (s *Store) operations(ctx context.Context, change records.Change) ([]clientv3.Op, error) {
	all := []clientv3.Op{clientv3.OpPut(s.prefix+tick, rand.Text())}
	for _, entry := range change.Put {
		lease, err := s.leases.of(ctx, s.client(), entry)
		if err != nil {
			return nil, err
		}
		all = append(all, clientv3.OpPut(s.prefix+entry.Name, string(entry.Value), clientv3.WithLease(lease)))
	}
	for _, name := range change.Delete {
		all = append(all, clientv3.OpDelete(s.prefix+name))
	}
	for _, folder := range change.Folders {
		all = append(all, clientv3.OpDelete(s.prefix+folder+"/", clientv3.WithPrefix()))
	}
	return all, nil
}

// load copies all records.
func (s *Store) load(ctx context.Context) error {
	got, err := s.client().Get(ctx, s.prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	s.touch()
	all := make([]records.Record, 0, len(got.Kvs))
	for _, kv := range got.Kvs {
		all = append(all, records.Record{Name: s.name(kv.Key), Value: kv.Value, Version: kv.ModRevision, Created: kv.CreateRevision})
	}
	s.copied.Replace(got.Header.Revision, all)
	s.compared = s.begin()
	s.isAhead.Store(false)
	return nil
}

func (s *Store) name(key []byte) string { return strings.TrimPrefix(string(key), s.prefix) }

// follow applies every change to the copy, until the context ends.
func (s *Store) follow(ctx context.Context) {
	const again = 100 * time.Millisecond
	for {
		err := s.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		s.logger.WarnContext(ctx, "the watch of the store has ended; watching again", "error", err)
		if errors.Is(err, errLost) {
			s.isAhead.Store(true)
		}
		if !pause(ctx, again) {
			return
		}
		if errors.Is(err, errCompacted) || errors.Is(err, errLost) {
			s.loadAgain(ctx)
		}
	}
}

// loadAgain copies all records, as soon as the servers let it, or until the context ends.
func (s *Store) loadAgain(ctx context.Context) {
	const again = time.Second
	for {
		err := s.load(ctx)
		if err == nil {
			return
		}
		s.logger.WarnContext(ctx, "cannot read the store again", "error", err)
		if !pause(ctx, again) {
			return
		}
	}
}

var errCompacted = errors.New("the store has forgotten the changes that were missed")

// watch applies changes until the watch ends, or all records must be loaded again.
func (s *Store) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(clientv3.WithRequireLeader(ctx))
	var also sync.WaitGroup
	defer also.Wait()
	defer cancel(nil)
	also.Go(func() {
		select {
		case why := <-s.stale:
			cancel(why)
		case <-ctx.Done():
		}
	})
	also.Go(func() { cancel(s.compare(ctx)) })
	for news := range s.client().Watch(ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithRev(s.copied.Seen()+1)) {
		if err := problemOf(news); err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		s.touch()
		if err := s.apply(news.Events); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// problemOf returns why a watch has ended, or nil.
func problemOf(news clientv3.WatchResponse) error {
	if news.CompactRevision > 0 {
		return errCompacted
	}
	return news.Err()
}

// apply applies events, and applies the events of a change together. It stops at a change of a history that
// the servers have lost.
func (s *Store) apply(events []*clientv3.Event) error {
	for len(events) > 0 {
		version := events[0].Kv.ModRevision
		var changed []records.Record
		for len(events) > 0 && events[0].Kv.ModRevision == version {
			kv, name := events[0].Kv, s.name(events[0].Kv.Key)
			if name == tick {
				if err := s.compared.meet(ofAll, kv); err != nil {
					return err
				}
			}
			changed = append(changed, records.Record{
				Name: name, Value: kv.Value, Version: version, Created: kv.CreateRevision, Gone: events[0].Type == clientv3.EventTypeDelete,
			})
			events = events[1:]
		}
		s.copied.Apply(version, changed)
	}
	return nil
}

// ping asks for an answer every second. So a loss of the servers, or of their data, is noticed even if
// nothing changes.
func (s *Store) ping(ctx context.Context) {
	const every = time.Second
	for pause(ctx, every) {
		asked, cancel := context.WithTimeout(ctx, 2*every)
		seen := s.copied.Seen()
		known, isKnown := s.copied.Find(tick)
		got, err := s.client().Get(asked, s.prefix+tick)
		if err == nil && s.answered(got.Header, seen) == nil && isKnown {
			if why := s.continues(asked, seen, known, got.Kvs); why != nil {
				_ = s.reload(why) // the watch gets to know
			}
		}
		s.report(ctx, err)
		s.renew(ctx, err)
		cancel()
	}
}

// pause waits, and reports whether the context has not ended.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
