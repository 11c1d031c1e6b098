package token

import (
	"cmp"
	"errors"

	"gcp-metadata-emulator/server/lru"
)

// revocations holds the IDs of revoked tokens and sessions. If there are more than
// maxRevocations, the oldest are forgotten. An access token has normally expired by then.
type revocations struct{ ids *lru.Cache[string, struct{}] }

const maxRevocations = 1 << 16

func newRevocations() *revocations {
	return &revocations{ids: lru.New[string, struct{}](maxRevocations)}
}

func (r *revocations) add(id string) { r.ids.Add(id, struct{}{}) }

func (r *revocations) has(id, session string) bool {
	return r.ids.Contains(id) || session != "" && r.ids.Contains(session)
}

// Revoke revokes an access token or a refresh token, and the other tokens of its session (RFC
// 7009, section 2.1). It returns the errors of Recognise and RecogniseRefresh.
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

// RevokeSession revokes all tokens of a session.
func (i *Issuer) RevokeSession(session string) {
	i.revoked.add(session)
	i.accesses.forget() // the metadata server must not return a cached token of the session
}

// Reset forgets all revocations and all cached tokens.
func (i *Issuer) Reset() {
	i.revoked.ids.Purge()
	i.accesses.forget()
	i.identities.forget()
}
