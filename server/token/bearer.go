package token

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Bearer reads the credential of a call to a Google API, which its host names: an access
// token, or a JWT that a service account has signed for this API (https://google.aip.dev/auth/4111).
// The principal of the credential must exist. The error is one of this package's, or says why the
// keys cannot be read.
func (i *Issuer) Bearer(w *world.World, text, host string) (Access, error) {
	access, err := i.credential(w, text, host)
	if err != nil {
		return Access{}, err
	}
	if !isActive(w, access.Principal) {
		return Access{}, ErrInactive
	}
	return access, nil
}

// credential reads a text as the one kind of credential that it looks like.
func (i *Issuer) credential(w *world.World, text, host string) (Access, error) {
	if IsAccess(text) {
		return i.Recognise(text)
	}
	return i.selfSigned(w, text, host)
}

func isActive(w *world.World, p iam.Principal) bool {
	switch p.Kind {
	case iam.KindServiceAccount:
		account, ok := w.Account(p.ID)
		return ok && !account.Disabled || w.HasPod(p)
	case iam.KindUser:
		_, ok := w.User(p.ID)
		return ok
	case iam.KindFederated:
		if p.Pool == world.WorkforcePool {
			_, ok := w.User(p.ID)
			return ok
		}
		return slices.ContainsFunc(w.Pools, func(pool *world.Pool) bool { return pool.Name == p.Pool && !pool.Disabled })
	case iam.KindUnknown:
	}
	return false
}

// selfSigned reads a JWT in which a service account names itself as issuer and subject, and
// as its audience the API or, with a scope claim, none in particular. A JWT that is for something
// else, as every ID token is, is refused before its signature is verified. The times come last: only
// a JWT that was valid once has expired.
func (i *Issuer) selfSigned(w *world.World, text, host string) (Access, error) {
	parsed, err := signer.Parse(text)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	issuer, _ := parsed.Claims["iss"].(string)
	subject, _ := parsed.Claims["sub"].(string)
	account, ok := w.Account(issuer)
	if !ok || subject != issuer {
		return Access{}, ErrUnknown
	}
	scopes, ok := selfSignedScopes(parsed, host)
	if !ok {
		return Access{}, ErrUnknown
	}
	if signed, err := i.SignedBy(parsed, account); err != nil || !signed {
		return Access{}, orUnknown(err)
	}
	issuedAt, begins := parsed.Time("iat")
	expires, ends := parsed.Time("exp")
	now := i.now()
	if !begins || !ends || !expires.After(now) || expires.Sub(issuedAt) > maxSelfSigned || issuedAt.After(now.Add(AllowedSkew)) {
		return Access{}, ErrExpired
	}
	return Access{Grant: ForAccount(account, scopes), IssuedAt: issuedAt.Unix(), Expires: expires.Unix()}, nil
}

// maxSelfSigned is how long a self-signed JWT lives at the most.
const maxSelfSigned = time.Hour

// AllowedSkew is how far ahead the clock of a service account may be that signs a JWT itself.
const AllowedSkew = 5 * time.Minute

// selfSignedScopes are those of the scope claim, or all of the API's where there is none. An
// audience has to be the API, with or without a path; only with a scope it may be missing.
func selfSignedScopes(parsed *signer.Parsed, host string) ([]string, bool) {
	scope, _ := parsed.Claims["scope"].(string)
	scopes := strings.Fields(scope)
	if audience, named := parsed.Claims["aud"]; named && !isAPI(audience, host) || !named && len(scopes) == 0 {
		return nil, false
	}
	if len(scopes) == 0 {
		scopes = []string{iam.CloudPlatform}
	}
	return scopes, true
}

// isAPI tells whether an audience is an API, which its host names.
func isAPI(audience any, host string) bool {
	text, _ := audience.(string)
	rest, ok := strings.CutPrefix(text, "https://"+host)
	return ok && host != "" && (rest == "" || strings.HasPrefix(rest, "/"))
}

func orUnknown(err error) error {
	if err == nil {
		return ErrUnknown
	}
	return err
}

// SignedBy tells whether a JWT is signed with a key of a service account: one of its key
// files, one that Google keeps for it, or one that it is known by. A key that the header names
// has to be that one; some clients name none. One that was revoked is as good as not signed.
func (i *Issuer) SignedBy(parsed *signer.Parsed, account *world.ServiceAccount) (bool, error) {
	if !parsed.IsRS256() || i.IsRevoked(parsed) {
		return false, nil
	}
	key, err := i.keyOf(account, parsed)
	return key != nil && parsed.SignedBy(key), err
}
