package token

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"gcp-metadata-emulator/server/iam"
)

// refreshPrefix is the prefix of Google's refresh tokens.
const refreshPrefix = "1//0"

// IsRefresh reports whether text looks like one of Google's refresh tokens. Old refresh tokens
// start with 1/ instead of 1//.
func IsRefresh(text string) bool { return strings.HasPrefix(text, "1/") }

// Refresh is the content of a refresh token. Refresh tokens do not expire (RFC 6749, section
// 1.5).
type Refresh struct {
	Grant

	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"` // Unix seconds
}

// Refresh issues a refresh token with the grant's canonical scopes. The grant should have a session.
func (i *Issuer) Refresh(grant Grant) (string, error) {
	sealer, err := i.Sealer(refreshPrefix)
	if err != nil {
		return "", err
	}
	grant.Scopes = iam.CanonicalScopes(grant.Scopes)
	return sealer.Seal(Refresh{Grant: grant, ID: uuid.NewString(), IssuedAt: i.now().Unix()})
}

// RecogniseRefresh reads a refresh token that an emulator with the same keys issued. The error is
// ErrUnknown, ErrRevoked, or a failure to read the keys.
func (i *Issuer) RecogniseRefresh(text string) (Refresh, error) {
	sealer, err := i.Sealer(refreshPrefix)
	if err != nil {
		return Refresh{}, err
	}
	var refresh Refresh
	if err := sealer.Open(text, &refresh); err != nil {
		return Refresh{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if i.revoked.has(refresh.ID, refresh.Session) {
		return Refresh{}, ErrRevoked
	}
	return refresh, nil
}
