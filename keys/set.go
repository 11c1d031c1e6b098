package keys

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
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
	use    purpose
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

func newSet(use purpose, folder string, vault *kept, pool *pool, now func() time.Time) *Set {
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
