//go:build cluster

package kubernetes

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Paths of the API server's documents about the tokens that it signs.
const (
	discoveryPath = "/.well-known/openid-configuration"
	jwksPath      = "/openid/v1/jwks"
)

const (
	// readPause is the shortest time between two reads of the keys: clients can make up IDs of keys.
	readPause   = 10 * time.Second
	readTimeout = 5 * time.Second
)

// Issuer knows the keys with which the API server of a cluster signs tokens of service accounts. It is
// safe for concurrent use.
type Issuer struct {
	read   func(ctx context.Context, path string) ([]byte, error)
	logger *slog.Logger

	known atomic.Pointer[signing]
	mu    sync.Mutex       // held while keys are read
	pause <-chan time.Time // gets a value when keys may be read again; nil: they never were read
}

// signing is the API server's description of its tokens.
type signing struct {
	issuer string
	keys   map[string][]crypto.PublicKey // by ID
}

// NewIssuer returns an issuer that knows no keys before Refresh. read asks the API server for a document,
// as Client.Read does.
func NewIssuer(read func(ctx context.Context, path string) ([]byte, error), logger *slog.Logger) *Issuer {
	return &Issuer{read: read, logger: logger}
}

// Keys returns the keys with an ID, and whether issuer is the cluster. It asks the API server if the
// cluster's issuer or the key is not known, but not again for some seconds.
func (i *Issuer) Keys(ctx context.Context, issuer, id string) (keys []crypto.PublicKey, known bool) {
	now := i.known.Load()
	if now == nil || now.issuer == issuer && now.keys[id] == nil {
		i.Refresh(ctx)
		now = i.known.Load()
	}
	if now == nil || now.issuer != issuer {
		return nil, false
	}
	return now.keys[id], true
}

// Refresh reads the issuer and its keys, unless they have just been read. If the API server does not
// answer, the keys that were known stay known.
func (i *Issuer) Refresh(ctx context.Context) {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.pause:
	default:
		if i.pause != nil {
			return
		}
	}
	i.pause = time.After(readPause)
	// Other requests wait for the answer too, so it must not depend on this client's patience.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	now, err := i.ask(ctx)
	if err != nil {
		i.logger.WarnContext(ctx, "cannot read the keys of the cluster's tokens; token exchange refuses those with unknown keys", "error", err,
			"hint", "check that this program may get "+discoveryPath+" and "+jwksPath+", as scripts/kubernetes/rbac allows it")
		return
	}
	i.known.Store(now)
}

func (i *Issuer) ask(ctx context.Context) (*signing, error) {
	var discovered struct {
		Issuer string `json:"issuer"`
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := i.document(ctx, discoveryPath, &discovered); err != nil {
		return nil, err
	}
	if discovered.Issuer == "" {
		return nil, fmt.Errorf("%q names no issuer", discoveryPath)
	}
	if err := i.document(ctx, jwksPath, &set); err != nil {
		return nil, err
	}
	now := &signing{issuer: discovered.Issuer, keys: map[string][]crypto.PublicKey{}}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		switch err := key.UnmarshalJSON(raw); {
		case errors.Is(err, jose.ErrUnsupportedKeyType):
			continue
		case err != nil:
			return nil, fmt.Errorf("read a key of %q: %w", jwksPath, err)
		}
		switch key.Key.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey:
			now.keys[key.KeyID] = append(now.keys[key.KeyID], key.Key)
		}
	}
	return now, nil
}

func (i *Issuer) document(ctx context.Context, path string, into any) error {
	content, err := i.read(ctx, path)
	if err != nil {
		return fmt.Errorf("get %q: %w", path, err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	return nil
}
