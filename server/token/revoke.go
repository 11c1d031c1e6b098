package token

import (
	"cmp"
	"errors"

	lru "github.com/hashicorp/golang-lru/v2"
)

// revocations are the tokens and sessions that were revoked. Where there are more than
// maxRevocations, the oldest are forgotten; an access token has expired long before.
type revocations struct{ ids *lru.Cache[string, struct{}] }

const maxRevocations = 1 << 16

func newRevocations() *revocations {
	return &revocations{ids: newLRU[string, struct{}](maxRevocations)}
}

func (r *revocations) add(id string) { r.ids.Add(id, struct{}{}) }

func (r *revocations) has(id, session string) bool {
	return r.ids.Contains(id) || session != "" && r.ids.Contains(session)
}

// Revoke takes back an access token or a refresh token, and with it the tokens of the same
// session (RFC 7009, section 2.1). The error is that of recognising it.
func (i *Issuer) Revoke(text string) error {
	access, err := i.Recognise(text)
	id, session := access.ID, access.Session
	if errors.Is(err, ErrUnknown) {
		var refresh Refresh
		refresh, err = i.RecogniseRefresh(text)
		id, session = refresh.ID, refresh.Session
	}
	if err != nil {
		return err
	}
	i.RevokeSession(cmp.Or(session, id))
	return nil
}

// RevokeSession takes back every token of a session.
func (i *Issuer) RevokeSession(session string) {
	i.revoked.add(session)
	i.accesses.forget() // the metadata server must not give one out again
}

// Reset forgets every revocation and every cached token.
func (i *Issuer) Reset() {
	i.revoked.ids.Purge()
	i.accesses.forget()
	i.identities.forget()
}
