package keys

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/keys/disk"
)

// Set holds the keys of one signer, oldest first, in the order in which the set got and
// published them. Looking a key up takes no lock, and making a key blocks only callers without
// one. A Set is safe for concurrent use.
//
// The active key is the oldest key that is neither retired nor about to expire. A retired key
// signs no more; the set publishes it while its signatures may still be valid. If the clock is
// set back to before a key's NotBefore, the key is neither used nor published until the clock
// reaches it. Keys of key files are exempt, because their holders keep using them.
type Set struct {
	use    Use
	folder string
	vault  *kept
	pool   *pool
	now    func() time.Time

	keys atomic.Pointer[[]numbered]
	seen atomic.Int64 // the folder's stamp at the last reading

	loaded atomic.Bool // the folder has been read once, without an error

	begun time.Time    // by the machine's clock
	look  atomic.Int64 // when refresh looks at the folder again, as the time since begun

	mu   sync.Mutex // guards fill and every change of keys
	fill *fill
}

// numbered is a key with the number of its file and its marks.
type numbered struct {
	*Key

	number    int       // passing or more if the key is only in memory
	retired   time.Time // zero: not retired
	withdrawn bool      // no longer published
	marks     []string  // the suffixes of the files that say so
	modified  int64     // the change of the key's file that is known to contain the key
}

// passing is the first number of keys that are only in memory. No directory reaches it.
const passing = 1 << 30

// fill is one run to make a set's missing keys.
type fill struct {
	progress chan struct{} // closed, and replaced, with each key; closed at the end
	done     bool
	err      error
}

func newSet(use Use, folder string, vault *kept, pool *pool, now func() time.Time) *Set {
	return &Set{use: use, folder: folder, vault: vault, pool: pool, now: now, begun: time.Now()} //nolint:forbidigo // see refresh
}

// Active returns the signing key. If there is no key yet, Active waits until one is made or ctx
// ends. A key gives way to the next key shortly before its certificate expires.
func (s *Set) Active(ctx context.Context) (*Key, error) {
	usable, err := s.await(ctx, 1)
	if err != nil {
		return nil, err
	}
	return usable[0].Key, nil
}

// Published returns every key with a published public half, oldest first: the active key, the
// next key if the use has one, and unexpired older keys. It waits like Active. It sees changes
// by other processes after a moment.
func (s *Set) Published(ctx context.Context) ([]*Key, error) {
	if _, err := s.await(ctx, s.use.wanted()); err != nil && !s.canDoWithout(err) {
		return nil, err
	}
	return s.valid(), nil
}

// Known returns the published keys that exist already, including keys just made by other
// processes. Unlike Published it makes no key.
func (s *Set) Known() ([]*Key, error) {
	if err := s.reread(); err != nil {
		return nil, err
	}
	return s.valid(), nil
}

// Find returns the published key with the given ID. It waits like Active.
func (s *Set) Find(ctx context.Context, id string) (*Key, bool, error) {
	hasID := func(key *Key) bool { return key.ID() == id }
	published, err := s.Published(ctx)
	if err != nil {
		return nil, false, err
	}
	if i := slices.IndexFunc(published, hasID); i >= 0 {
		return published[i], true, nil
	}
	known, err := s.Known() // another process may have made the key just now
	if i := slices.IndexFunc(known, hasID); i >= 0 {
		return known[i], true, nil
	}
	return nil, false, err
}

// Add makes one more key of the given size in bits. The other keys stay as they are.
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

// valid returns the published keys.
func (s *Set) valid() []*Key {
	now, all := s.now(), s.all()
	valid := make([]*Key, 0, len(all))
	for _, key := range all {
		if s.isPublished(key, now) {
			valid = append(valid, key.Key)
		}
	}
	return valid
}

// isPublished reports whether k is valid, and was not retired so long ago that all its
// signatures have expired.
func (s *Set) isPublished(k numbered, now time.Time) bool {
	return !k.withdrawn && s.use.isBegun(k.Key, now) && k.NotAfter().After(now) &&
		(k.retired.IsZero() || now.Before(k.retired.Add(spare)))
}

// isUsable reports whether k may still sign.
func (s *Set) isUsable(k numbered, now time.Time) bool {
	return k.retired.IsZero() && s.use.isBegun(k.Key, now) && k.NotAfter().After(now.Add(spare))
}

// usable returns the keys for signing.
func (s *Set) usable() []numbered {
	now, all := s.now(), s.all()
	for len(all) > 0 && !s.isUsable(all[0], now) { // oldest first: expired and retired keys come first
		all = all[1:]
	}
	for _, key := range all {
		if !s.isUsable(key, now) {
			return slices.DeleteFunc(slices.Clone(all), func(k numbered) bool { return !s.isUsable(k, now) })
		}
	}
	return all
}

// Ready reports whether a key can sign now, and starts to make the missing keys.
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

// await waits for at least count usable keys and returns them.
func (s *Set) await(ctx context.Context, count int) ([]numbered, error) {
	if err := s.refresh(); err != nil {
		return nil, err
	}
	var begun time.Time // of the waiting
	for {
		usable := s.usable()
		if len(usable) >= s.use.wanted() {
			s.pool.reportWait(begun)
			return usable, nil
		}
		progress, run := s.ensure()
		if usable := s.usable(); len(usable) >= count {
			s.pool.reportWait(begun)
			return usable, nil // the rest is made in the background
		}
		if begun.IsZero() {
			begun = time.Now() //nolint:forbidigo // keys take real time
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

// ensure starts a run unless one is under way. The returned channel is closed at the run's next
// progress.
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

// complete loads the keys on disk and makes the missing ones. It belongs to no request, so the
// cancellation of one request does not fail the others.
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

// unlooked is the time for which refresh does not look at a folder again. A look costs as much
// as a small request.
const unlooked = 10 * time.Millisecond

// refresh loads new keys of other processes. It may be late by unlooked.
func (s *Set) refresh() error {
	now := time.Since(s.begun) // other processes go by no emulator's clock
	if now < time.Duration(s.look.Load()) {
		return nil
	}
	if err := s.reread(); err != nil {
		return err
	}
	s.look.Store(int64(now + unlooked))
	return nil
}

// reread loads new keys of other processes.
func (s *Set) reread() error {
	stamp := s.vault.stamp(s.folder)
	if stamp != disk.Changing && stamp == s.seen.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.load()
	if err == nil {
		s.seen.Store(stamp) // after an error, the next look reads the folder again
		return nil
	}
	if s.canDoWithout(err) {
		return nil
	}
	return err
}

// canDoWithout reports whether the keys in memory suffice although the folder cannot be read or
// written. If they do, it tells of the error.
func (s *Set) canDoWithout(err error) bool {
	_, isFile := errors.AsType[*FileError](err)
	can := isFile && s.loaded.Load() && len(s.usable()) > 0
	if can {
		s.vault.tell(err)
	}
	return can
}

// load reads the files of unknown keys, and writes the files of known keys that somebody has
// removed. One file in trouble does not keep it from the others; the error is the first one. The
// caller must hold mu.
func (s *Set) load() error {
	names, err := s.vault.names(s.folder)
	if err != nil {
		return err
	}
	err = s.restore(names)
	for _, name := range names {
		if number, ok := numberOf(name, keySuffix); ok && s.find(number) < 0 {
			err = cmp.Or(err, s.loadKey(number))
		}
	}
	for _, name := range names {
		err = cmp.Or(err, s.loadMark(name))
	}
	if err == nil {
		s.loaded.Store(true)
	}
	return err
}

func (s *Set) loadKey(number int) error {
	name := fileName(s.folder, number, keySuffix)
	modified := s.vault.modified(name)
	key, err := load(s.vault, name, pairForm(s.use, s.pool))
	if err == nil {
		s.put(numbered{Key: key, number: number, modified: modified})
	}
	return err
}

// keep certifies a private key under the next number. If another process has used that number,
// keep loads that process's key and returns private to the pool. If keys must not last, the key
// stays in memory. The caller must hold mu.
func (s *Set) keep(private private) (key *Key, kept bool, err error) {
	notBefore := s.use.notBefore(s.now(), len(s.usable()))
	number := s.next()
	key, err = newKey(private, s.use, notBefore)
	if err != nil {
		return nil, false, err
	}
	taken := false
	if number < passing {
		taken, err = s.write(key, number)
	}
	if err != nil {
		s.pool.give(private) // the key took long to find, and the error may be temporary
		return nil, false, err
	}
	if taken {
		s.pool.give(private)
		return nil, false, s.loadKey(number)
	}
	s.put(numbered{Key: key, number: number, modified: s.vault.modified(fileName(s.folder, number, keySuffix))})
	return key, true, nil
}

// write writes the file of a key. taken reports that another process has used its number.
func (s *Set) write(key *Key, number int) (taken bool, err error) {
	data, err := key.encode()
	if err != nil {
		return false, err
	}
	return s.vault.create(fileName(s.folder, number, keySuffix), data)
}

// next returns the number of the next key.
func (s *Set) next() int {
	number := 1
	if s.pool.isForeign || !s.vault.lasts() {
		number = passing
	}
	for _, key := range s.all() {
		if (key.number >= passing) == (number >= passing) {
			number = key.number + 1
		}
	}
	return number
}

// last returns the highest number of a key that has a file, or 0.
func (s *Set) last() int {
	last := 0
	for _, key := range s.all() {
		if key.number < passing {
			last = max(last, key.number)
		}
	}
	return last
}

// find returns the index of the key with the given number, or a negative number.
func (s *Set) find(number int) int {
	return slices.IndexFunc(s.all(), func(k numbered) bool { return k.number == number })
}

// put publishes a new list with key added or replaced; lists that readers hold do not change. A
// new key follows the published keys, which sign first. Keys of the folder stay in the order of
// their numbers, so that every process has the same order. The caller must hold mu.
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
