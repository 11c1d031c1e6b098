package keys

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/keys/disk"
)

// Ring holds every key of one emulator. It is safe for concurrent use.
type Ring struct {
	vault *kept
	pool  *pool
	users *pool // makes the keys of key files: the same pool, unless other keys never leave their signers
	now   func() time.Time

	google, firebase, session *Set

	contents *contents

	mu       sync.Mutex
	accounts map[string]*Set

	singles  []single    // the files of the following keys
	checking atomic.Bool // Check is running

	secret    []byte       // nil until it is loaded
	domains   []string     // see Certify
	addresses []netip.Addr // see Certify
	authority *Authority   // nil until it is loaded
	iap       *ECKey       // likewise
}

// NewRing returns a ring that keeps its keys below dir/keys. If dir is empty, it keeps them only in
// memory. It does not read or make keys yet. now decides which keys have expired.
func NewRing(dir string, now func() time.Time) *Ring {
	if dir == "" {
		return newRing(memory{}, newPool(), now)
	}
	return newRing(directory{disk.NewFolder(dir)}, newPool(), now)
}

func newRing(vault vault, pool *pool, now func() time.Time) *Ring {
	kept := newKept(vault)
	r := &Ring{vault: kept, pool: pool, users: pool, now: now, accounts: map[string]*Set{}, contents: newContents(kept)}
	kept.lost = func() { pool.start(r.Check) }
	r.google = newSet(federatedSignon(), "keys/google", kept, r.pool, now)
	r.firebase = newSet(firebase(), "keys/firebase", kept, r.pool, now)
	r.session = newSet(firebaseSession(), "keys/firebase-session", kept, r.pool, now)
	return r
}

// KeepWhile makes the ring write new signing keys and their retirements to disk only while
// lasts returns true. If somebody has moved the clock, a new key has the wrong dates for later
// readers. Call it before the ring is used.
func (r *Ring) KeepWhile(lasts func() bool) {
	r.vault.lasts = func() bool { return r.vault.stored && lasts() }
}

// ReportWaits makes the ring call report whenever a caller has waited for the generation of a key.
// If the key exists, the caller does not wait.
func (r *Ring) ReportWaits(report func(time.Duration)) {
	r.pool.waited.Store(&report)
	r.users.waited.Store(&report)
}

// Close stops all writing, so that the end of a process leaves no half-written file. The ring's
// existing keys stay usable.
func (r *Ring) Close() { r.vault.close() }

// Wait returns when neither the ring nor its strangers are making a key.
func (r *Ring) Wait() {
	r.pool.wait()
	r.users.wait()
}

// Stranger returns a ring with keys unknown to verifiers. It keeps nothing on disk, and makes
// its keys in the pool of r's key files.
func (r *Ring) Stranger() *Ring { return newRing(memory{}, r.users, r.now) }

// Load reads Google's own keys, the secret, and the certificate authority, if any. It makes no keys
// except the secret. The error names an unusable file, or a read-only directory. Load also removes
// unfinished files of killed processes.
func (r *Ring) Load() error {
	r.vault.sweep()
	var keysErr error
	for _, set := range r.Own() {
		_, err := set.Known()
		keysErr = cmp.Or(keysErr, err)
	}
	_, secretErr := r.Secret()
	return cmp.Or(keysErr, secretErr, r.checkAuthority())
}

// checkAuthority reads the certificate authority if there is one.
func (r *Ring) checkAuthority() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _, err := r.knownAuthority()
	return err
}

// Warm makes the keys of ID tokens, so that no request has to wait for them.
func (r *Ring) Warm(ctx context.Context) error {
	_, err := r.google.Published(ctx)
	return err
}

// Google returns the set for ID tokens.
func (r *Ring) Google() *Set { return r.google }

// Firebase returns the set for Firebase ID tokens.
func (r *Ring) Firebase() *Set { return r.firebase }

// FirebaseSession returns the set for Firebase session cookies.
func (r *Ring) FirebaseSession() *Set { return r.session }

// Own returns Google's own sets, the set for ID tokens first. They rotate together.
func (r *Ring) Own() []*Set { return []*Set{r.google, r.firebase, r.session} }

// System returns the set of Google's signatures for a service account (signJwt, signBlob).
func (r *Ring) System(email string) *Set {
	return r.account("system", email, systemManaged(email), r.pool)
}

// User returns the set of the keys in a service account's key files.
func (r *Ring) User(email, uniqueID string) *Set {
	return r.account("user", email, userManaged(uniqueID), r.users)
}

// Made returns the existing published keys of a service account's two sets. It creates no sets,
// so callers may ask about any e-mail address without using memory.
func (r *Ring) Made(email string) ([]*Key, error) {
	var made []*Key
	for kind, use := range map[string]purpose{"system": systemManaged(email), "user": userManaged("")} {
		folder := accountFolder(kind, email)
		r.mu.Lock()
		set, ok := r.accounts[folder]
		r.mu.Unlock()
		if !ok {
			set = newSet(use, folder, r.vault, r.pool, r.now)
		}
		known, err := set.Known()
		if err != nil {
			return nil, err
		}
		made = append(made, known...)
	}
	return made, nil
}

const accountsFolder = "keys/accounts"

func accountFolder(kind, email string) string {
	return accountsFolder + "/" + folderName(email) + "/" + kind
}

func (r *Ring) account(kind, email string, use purpose, pool *pool) *Set {
	folder := accountFolder(kind, email)
	r.mu.Lock()
	defer r.mu.Unlock()
	set, ok := r.accounts[folder]
	if !ok {
		set = newSet(use, folder, r.vault, pool, r.now)
		r.accounts[folder] = set
	}
	return set
}

// folderName turns an e-mail address into one safe path element.
func folderName(email string) string {
	escaped := url.PathEscape(strings.ToLower(email))
	const longest = 255 // of a name in every usual file system
	switch {
	case strings.Trim(escaped, ".") == "": // "." and ".." name other folders
		return strings.ReplaceAll(escaped, ".", "%2E")
	case len(escaped) > longest:
		sum := sha256.Sum256([]byte(escaped))
		return hex.EncodeToString(sum[:])
	}
	return escaped
}

const secretSize = 32

// Secret returns 32 random bytes that all processes with the same directory share. The bytes
// protect tokens without a signature.
func (r *Ring) Secret() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.secret != nil {
		return r.secret, nil
	}
	secret, err := r.loadSecret()
	if err == nil {
		r.secret = secret
	}
	return secret, err
}

func (r *Ring) loadSecret() ([]byte, error) {
	const name = "keys/token.secret"
	secret, err := loadOrCreate(r.vault, name, secretForm(), func() ([]byte, error) {
		if last := r.google.last(); last > 0 { // a ring loads or creates its secret before its keys
			r.vault.tell(&MissingError{Path: r.vault.path(name), By: r.vault.path(fileName(r.google.folder, last, keySuffix))})
		}
		fresh := make([]byte, secretSize)
		_, _ = rand.Read(fresh) // never fails: crypto/rand ends the process instead
		return encodeSecret(fresh)
	})
	if err != nil {
		return nil, err
	}
	data, err := encodeSecret(secret)
	r.remember(name, data)
	return secret, err
}

func secretForm() form[[]byte] { return form[[]byte]{decode: decodeSecret, encode: encodeSecret} }

func encodeSecret(secret []byte) ([]byte, error) {
	return []byte(hex.EncodeToString(secret) + "\n"), nil
}

func decodeSecret(data []byte) ([]byte, error) {
	secret, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(secret) != secretSize {
		return nil, errors.New("it is truncated, or is not 64 hexadecimal digits")
	}
	return secret, nil
}

// IsExpired reports whether key has expired by the ring's clock. The key need not belong to the
// ring.
func (r *Ring) IsExpired(key *Certified) bool { return !key.NotAfter().After(r.now()) }
