package token

import (
	"strings"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/retired"
)

// refreshPrefix is the prefix of Google's refresh tokens.
const refreshPrefix = "1//0"

func refreshForm() Form { return Form{Prefix: refreshPrefix, Limit: MaxRefresh} }

// IsRefresh reports whether text looks like one of Google's refresh tokens. Old refresh tokens
// start with 1/ instead of 1//.
func IsRefresh(text string) bool { return strings.HasPrefix(text, "1/") }

// Refresh is the content of a refresh token. Refresh tokens do not expire (RFC 6749, section
// 1.5).
type Refresh struct {
	Grant

	ID       string
	IssuedAt int64 // Unix seconds
}

// Refresh issues a refresh token with the grant's canonical scopes. The grant should have a session.
func (i *Issuer) Refresh(grant Grant) (string, error) {
	grant.Scopes = iam.CanonicalScopes(grant.Scopes)
	text, err := i.Seal(refreshForm(), stamp{ID: retired.NewID(), Session: grant.Session, IssuedAt: i.now().Unix()}, grant)
	if err == nil {
		i.counts.Minted(string(KindRefresh))
	}
	return text, err
}

// RecogniseRefresh reads a refresh token that an emulator with the same keys issued. The error is
// ErrUnknown, ErrRevoked, or a failure to read the keys.
func (i *Issuer) RecogniseRefresh(text string) (Refresh, error) {
	var own stamp
	var grant Grant
	if err := i.Open(refreshForm(), text, &own, &grant); err != nil {
		return Refresh{}, err
	}
	grant.Session = own.Session
	refresh := Refresh{Grant: grant, ID: own.ID, IssuedAt: own.IssuedAt}
	if i.isRetired(refresh.ID, refresh.Session) {
		return Refresh{}, ErrRevoked
	}
	return refresh, nil
}
