package keys

import (
	"context"
	"crypto/rsa"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Set is the keys of one signer, oldest first: in the order in which the set came by them, and so
// published them. Looking one up takes no lock; making one blocks nobody but those who need it. A
// Set is safe for concurrent use.
//
// The oldest key that is neither retired nor about to expire is the active one. Retired keys
// sign no more, and are published for as long as something that they have signed may be
// relied on. Keys whose time a clock that was set back has yet to come to are neither used nor
// published until it has, but for those of key files: who holds one goes on using it.
type Set struct {
	use    Use
	folder string
	vault  *closable
	pool   *pool
	now    func() time.Time

	keys atomic.Pointer[[]numbered]
	seen atomic.Int64 // the folder's stamp when it was read last

	looked atomic.Int64 // when refresh looked at the folder last, in Unix nanoseconds by the machine's clock

	mu   sync.Mutex // guards what follows, and every change of keys
	fill *fill
}

// numbered is a key with the number of its file, and what has become of it.
type numbered struct {
	*Key

	number    int       // from passing on, where it is not kept
	retired   time.Time // zero: it is not
	withdrawn bool      // it is published no more
}

// passing is where the numbers of keys begin that are in memory alone. Nobody keeps as many.
const passing = 1 << 30

// fill is one run that brings a set to the keys it wants.
type fill struct {
	progress chan struct{} // closed, and replaced, with each key; closed at the end
	done     bool
	err      error
}

func newSet(use Use, folder string, vault *closable, pool *pool, now func() time.Time) *Set {
	return &Set{use: use, folder: folder, vault: vault, pool: pool, now: now}
}

// Active is the key that signs. Where there is none yet, Active waits until it is made or
// the context ends. A key whose certificate is about to expire gives way to the next.
func (s *Set) Active(ctx context.Context) (*Key, error) {
	usable, err := s.await(ctx, 1)
	if err != nil {
		return nil, err
	}
	return usable[0].Key, nil
}

// Published is every key whose public half is to be known: the active one, the next one
// where the set's use has one, and older ones that have not expired; oldest first. It
// waits like Active. What other processes have just done is known a moment later.
func (s *Set) Published(ctx context.Context) ([]*Key, error) {
	if _, err := s.await(ctx, s.use.wanted()); err != nil {
		return nil, err
	}
	return s.valid(), nil
}

// Known is Published, but makes no key: it is those that exist already, wherever they were
// made, up to this moment.
func (s *Set) Known() ([]*Key, error) {
	if err := s.reread(); err != nil {
		return nil, err
	}
	return s.valid(), nil
}

// Find finds a published key by its ID. It waits like Active.
func (s *Set) Find(ctx context.Context, id string) (*Key, bool, error) {
	hasID := func(key *Key) bool { return key.ID() == id }
	published, err := s.Published(ctx)
	if err != nil {
		return nil, false, err
	}
	if i := slices.IndexFunc(published, hasID); i >= 0 {
		return published[i], true, nil
	}
	known, err := s.Known() // another process may have made it just now
	if i := slices.IndexFunc(known, hasID); i >= 0 {
		return known[i], true, nil
	}
	return nil, false, err
}

// Add makes one more key of a size in bits. The others stay as they are.
func (s *Set) Add(bits int) (*Key, error) {
	private, err := s.pool.make(bits)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.load(); err != nil {
			return nil, err
		}
		if key, kept, err := s.keep(private); kept || err != nil {
			return key, err
		}
	}
}

func (s *Set) all() []numbered {
	if keys := s.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// valid are the keys that are published.
func (s *Set) valid() []*Key {
	now := s.now()
	var valid []*Key
	for _, key := range s.all() {
		if s.isPublished(key, now) {
			valid = append(valid, key.Key)
		}
	}
	return valid
}

// isPublished tells whether a key is valid, and has not been retired for so long that nothing
// which it has signed is good any more.
func (s *Set) isPublished(k numbered, now time.Time) bool {
	return !k.withdrawn && s.use.isBegun(k.Key, now) && k.NotAfter().After(now) &&
		(k.retired.IsZero() || now.Before(k.retired.Add(spare)))
}

// isUsable tells whether a key may still sign.
func (s *Set) isUsable(k numbered, now time.Time) bool {
	return k.retired.IsZero() && s.use.isBegun(k.Key, now) && k.NotAfter().After(now.Add(spare))
}

// usable are the keys that may still sign.
func (s *Set) usable() []numbered {
	now, all := s.now(), s.all()
	for len(all) > 0 && !s.isUsable(all[0], now) { // oldest first, so that those which expire or retire come first
		all = all[1:]
	}
	for _, key := range all {
		if !s.isUsable(key, now) {
			return slices.DeleteFunc(slices.Clone(all), func(k numbered) bool { return !s.isUsable(k, now) })
		}
	}
	return all
}

// Ready tells whether there is a key that signs, and begins to make what is missing.
func (s *Set) Ready() (bool, error) {
	if err := s.reread(); err != nil {
		return false, err
	}
	usable := s.usable()
	if len(usable) < s.use.wanted() {
		s.ensure()
	}
	return len(usable) > 0, nil
}

// await returns the usable keys once there are at least so many.
func (s *Set) await(ctx context.Context, count int) ([]numbered, error) {
	if err := s.refresh(); err != nil {
		return nil, err
	}
	for {
		usable := s.usable()
		if len(usable) >= s.use.wanted() {
			return usable, nil
		}
		progress, run := s.ensure()
		if usable := s.usable(); len(usable) >= count {
			return usable, nil // the rest is made in the background
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if err := s.failure(run); err != nil {
			return nil, err
		}
	}
}

// ensure starts a run where none is under way and returns the channel that its next
// progress closes.
func (s *Set) ensure() (<-chan struct{}, *fill) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fill == nil || s.fill.done {
		run := &fill{progress: make(chan struct{})}
		s.fill = run
		s.pool.start(func() { s.complete(run) })
	}
	return s.fill.progress, s.fill
}

func (s *Set) failure(run *fill) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return run.err
}

// complete loads what is kept and makes what is missing. It belongs to no request, so
// that one which gives up does not fail the others.
func (s *Set) complete(run *fill) {
	s.mu.Lock()
	err := s.load()
	for err == nil && len(s.usable()) < s.use.wanted() {
		close(run.progress)
		run.progress = make(chan struct{})
		s.mu.Unlock()
		private, makeErr := s.pool.take()
		s.mu.Lock()
		if err = makeErr; err == nil {
			_, _, err = s.keep(private)
		}
	}
	run.done, run.err = true, err
	close(run.progress)
	s.mu.Unlock()
}

// unlooked is for how long a folder is not looked at again. To look costs as much as to answer
// a small request.
const unlooked = 10 * time.Millisecond

// refresh takes up what other processes have put into the folder, now or a moment later.
func (s *Set) refresh() error {
	now := time.Now() //nolint:forbidigo // other processes go by no emulator's clock
	if now.Sub(time.Unix(0, s.looked.Load())).Abs() < unlooked {
		return nil
	}
	if err := s.reread(); err != nil {
		return err
	}
	s.looked.Store(now.UnixNano())
	return nil
}

// reread takes up what other processes have put into the folder.
func (s *Set) reread() error {
	stamp := s.vault.stamp(s.folder)
	if stamp != changing && stamp == s.seen.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return err
	}
	s.seen.Store(stamp)
	return nil
}

// load reads the files that the set does not know yet. The caller holds mu.
func (s *Set) load() error {
	names, err := s.vault.names(s.folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if number, ok := numberOf(name, keySuffix); ok && s.find(number) < 0 {
			if err := s.loadKey(number); err != nil {
				return err
			}
		}
	}
	for _, name := range names {
		if err := s.loadMark(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) loadKey(number int) error {
	name := fileName(s.folder, number, keySuffix)
	data, err := s.vault.read(name)
	if err != nil {
		return err
	}
	key, err := s.decode(name, data)
	if err == nil {
		s.put(numbered{Key: key, number: number})
	}
	return err
}

func (s *Set) decode(name string, data []byte) (*Key, error) {
	key, err := decode(data)
	if err != nil {
		return nil, &FileError{Path: s.vault.path(name), Problem: "cannot be used", Err: err}
	}
	return key, nil
}

// keep certifies a private key as the one that follows the last. Where another process was
// faster, it takes that one's key, and gives the private key back. What is not to be kept stays
// in memory. The caller holds mu.
func (s *Set) keep(private *rsa.PrivateKey) (key *Key, kept bool, err error) {
	notBefore := s.use.notBefore(s.now(), len(s.usable()))
	number := s.next()
	key, err = newKey(private, s.use, notBefore)
	if err != nil {
		return nil, false, err
	}
	data, err := key.encode()
	if err != nil {
		return nil, false, err
	}
	existing := data
	if number < passing {
		existing, err = s.vault.create(fileName(s.folder, number, keySuffix), data)
	}
	if err != nil {
		s.pool.give(private) // it took long to find, and the trouble may pass
		return nil, false, err
	}
	if string(existing) != string(data) {
		s.pool.give(private)
		return nil, false, s.loadKey(number)
	}
	s.put(numbered{Key: key, number: number})
	return key, true, nil
}

// next is the number of the next key.
func (s *Set) next() int {
	number := 1
	if !s.vault.lasts() {
		number = passing
	}
	for _, key := range s.all() {
		if (key.number >= passing) == (number >= passing) {
			number = key.number + 1
		}
	}
	return number
}

// find is the place of a key with a number, or negative.
func (s *Set) find(number int) int {
	return slices.IndexFunc(s.all(), func(k numbered) bool { return k.number == number })
}

// put publishes a new list of keys, in which one is new or has changed; lists that readers
// hold stay as they are. A new key follows those that are published already, whose turn to sign
// comes first; but those of the folder are in the order of their numbers, for every process to
// have the same. The caller holds mu.
func (s *Set) put(key numbered) {
	next := slices.Clone(s.all())
	if at := s.find(key.number); at >= 0 {
		next[at] = key
	} else {
		later := slices.IndexFunc(next, func(k numbered) bool { return key.number < k.number && k.number < passing })
		if later < 0 {
			later = len(next)
		}
		next = slices.Insert(next, later, key)
	}
	s.keys.Store(&next)
}
