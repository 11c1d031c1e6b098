package keys

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Ring holds every key of one emulator. It is safe for concurrent use.
type Ring struct {
	vault  *closable
	pool   *pool
	now    func() time.Time
	google *Set

	mu       sync.Mutex
	accounts map[string]*Set

	secret    []byte     // nil until it is known
	authority *Authority // nil until it is needed
	iap       *ECKey     // likewise
}

// NewRing is a ring whose keys are kept below dir/keys, or nowhere where dir is empty.
// It reads and makes nothing yet. Its clock decides which keys have expired.
func NewRing(dir string, now func() time.Time) *Ring {
	if dir == "" {
		return newRing(memory{}, newPool(), now)
	}
	return newRing(directory(dir), newPool(), now)
}

func newRing(vault vault, pool *pool, now func() time.Time) *Ring {
	kept := &closable{vault: vault, lasts: func() bool { return true }}
	r := &Ring{vault: kept, pool: pool, now: now, accounts: map[string]*Set{}}
	r.google = newSet(FederatedSignon(), "keys/google", kept, r.pool, now)
	return r
}

// KeepWhile makes the ring keep those signing keys alone, and what becomes of them, that are made
// while a function says so: what is made by a clock that was moved would be of another time to
// whoever reads it later. It is called before the ring is used.
func (r *Ring) KeepWhile(lasts func() bool) { r.vault.lasts = lasts }

// Close is for the end of a process: no key is kept from then on, and none is half written.
// Keys that there are can still be used.
func (r *Ring) Close() { r.vault.close() }

// Wait returns when no key of the ring, or of a stranger of its, is in the making.
func (r *Ring) Wait() { r.pool.wait() }

// Stranger is a ring of whose keys nobody knows. It keeps nothing, and has its keys made where
// this one does.
func (r *Ring) Stranger() *Ring { return newRing(memory{}, r.pool, r.now) }

// Load reads what is needed first, and the certificate authority where there is one, and returns
// the error of a file that cannot be used or of a directory that cannot be written. It makes no
// keys.
func (r *Ring) Load() error {
	_, keysErr := r.google.Known()
	_, secretErr := r.Secret()
	_, _, authorityErr := r.knownAuthority()
	return cmp.Or(keysErr, secretErr, authorityErr)
}

// Warm makes the keys that sign ID tokens, so that no request has to wait for them.
func (r *Ring) Warm(ctx context.Context) error {
	_, err := r.google.Published(ctx)
	return err
}

// Google is the set that signs ID tokens.
func (r *Ring) Google() *Set { return r.google }

// System is the set with which Google signs for a service account (signJwt, signBlob).
func (r *Ring) System(email string) *Set {
	return r.account("system", email, SystemManaged(email))
}

// User is the set that a service account's key files hold.
func (r *Ring) User(email, uniqueID string) *Set {
	return r.account("user", email, UserManaged(uniqueID))
}

// Made is every unexpired key of either set of a service account that exists already. Unlike
// the sets it remembers nothing, so that anybody may ask for any account.
func (r *Ring) Made(email string) ([]*Key, error) {
	var made []*Key
	for kind, use := range map[string]Use{"system": SystemManaged(email), "user": UserManaged("")} {
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

func accountFolder(kind, email string) string {
	return "keys/accounts/" + folderName(email) + "/" + kind
}

func (r *Ring) account(kind, email string, use Use) *Set {
	folder := accountFolder(kind, email)
	r.mu.Lock()
	defer r.mu.Unlock()
	set, ok := r.accounts[folder]
	if !ok {
		set = newSet(use, folder, r.vault, r.pool, r.now)
		r.accounts[folder] = set
	}
	return set
}

// folderName makes one safe path element of an e-mail address.
func folderName(email string) string {
	escaped := url.PathEscape(strings.ToLower(email))
	if strings.Trim(escaped, ".") == "" { // "." and ".." name other folders
		return strings.ReplaceAll(escaped, ".", "%2E")
	}
	return escaped
}

const secretSize = 32

// Secret is 32 random bytes that every process with the same directory shares. They
// protect the tokens that carry no signature.
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
	data, err := r.vault.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		fresh := make([]byte, secretSize)
		_, _ = rand.Read(fresh) // never fails: crypto/rand ends the process instead
		data, err = r.vault.create(name, []byte(hex.EncodeToString(fresh)+"\n"))
	}
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(secret) != secretSize {
		return nil, &FileError{
			Path: r.vault.path(name), Problem: "cannot be used",
			Err: errors.New("it is truncated, or is not 64 hexadecimal digits"),
		}
	}
	return secret, nil
}

// IsExpired tells whether a key, one that the ring need not hold, is good no more.
func (r *Ring) IsExpired(key *Certified) bool { return !key.NotAfter().After(r.now()) }
