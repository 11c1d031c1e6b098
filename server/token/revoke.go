package token

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"gcp-metadata-emulator/server/retired"
	"gcp-metadata-emulator/signer"
)

// RememberedRevocations is the number of revocations after which the emulator forgets the oldest.
// Tokens as old as the forgotten tokens then count as revoked.
const RememberedRevocations = 1 << 16

// isRetired reports whether a token or its session was revoked. session may be empty.
func (i *Issuer) isRetired(id, session string) bool {
	return i.revoked.Has(id) || session != "" && i.revoked.Has(session)
}

// Revoke revokes an access token or a refresh token, and the other tokens of its session (RFC
// 7009, section 2.1). It returns the errors of Recognise and RecogniseRefresh.
func (i *Issuer) Revoke(ctx context.Context, text string) error {
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
	return i.RevokeSession(ctx, cmp.Or(session, id))
}

// RevokeSession revokes all tokens of a session, which has an ID of package retired.
func (i *Issuer) RevokeSession(ctx context.Context, session string) error {
	_, err := i.revoked.Retire(ctx, session)
	i.accesses.forget() // the metadata server must not return a cached token of the session
	return err
}

// revokedForm returns the form of the claim jti of JWTs that are revoked from the start. Only the
// emulator can seal such a claim, so no set has to remember these JWTs.
func revokedForm() Form { return Form{Prefix: revokedPrefix} }

const revokedPrefix = "revoked-"

// revokedID returns a claim jti that marks the JWT as revoked.
func (i *Issuer) revokedID() (string, error) { return i.Seal(revokedForm(), nil, nil) }

// IsRevoked reports whether a JWT was revoked. Only a JWT with defect revoked can be.
func (i *Issuer) IsRevoked(parsed *signer.Parsed) bool {
	id, _ := parsed.Claims["jti"].(string)
	return strings.HasPrefix(id, revokedPrefix) && i.Open(revokedForm(), id, new(any), new(any)) == nil
}

// Share makes several processes share the set of revoked tokens. Call it before the issuer is used.
func (i *Issuer) Share(revoked retired.Set) { i.revoked = revoked }

// ForgetCached forgets the cached access tokens, for other processes may have revoked them.
func (i *Issuer) ForgetCached() { i.accesses.forget() }

// Reset forgets all revocations and all cached tokens.
func (i *Issuer) Reset() {
	i.revoked.Reset()
	i.accesses.forget()
	i.identities.forget()
}
