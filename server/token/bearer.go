package token

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/accountkeys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Bearer reads the credential of a call to a Google API, which its host names: an access
// token, or a JWT that a service account has signed for this API (https://google.aip.dev/auth/4111).
// The one it speaks for must exist. The error is one of this package's, or says why the
// keys cannot be read.
func (i *Issuer) Bearer(w *world.World, text, host string) (Access, error) {
	access, err := i.Recognise(text)
	if !IsAccess(text) {
		access, err = i.selfSigned(w, text, host)
	}
	if err != nil {
		return Access{}, err
	}
	if !isActive(w, access.Principal) {
		return Access{}, ErrInactive
	}
	return access, nil
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
// as its audience the API or, with a scope claim, none in particular.
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
	if signed, err := i.SignedBy(parsed, account); err != nil || !signed {
		return Access{}, orUnknown(err)
	}
	scopes, ok := selfSignedScopes(parsed, host)
	if !ok {
		return Access{}, ErrUnknown
	}
	issuedAt, expires := unixSeconds(parsed.Claims["iat"]), unixSeconds(parsed.Claims["exp"])
	now := i.now().Unix()
	if issuedAt == 0 || expires <= now || expires-issuedAt > int64(maxSelfSigned/time.Second) || issuedAt > now+int64(allowedSkew/time.Second) {
		return Access{}, ErrExpired
	}
	return Access{Grant: ForAccount(account, scopes), IssuedAt: issuedAt, Expires: expires}, nil
}

// A self-signed JWT lives for an hour at the most, and its clock may be five minutes ahead.
const (
	maxSelfSigned = time.Hour
	allowedSkew   = 5 * time.Minute
)

// selfSignedScopes are those of the scope claim. Without one the audience has to be the
// API, with or without a path, and stands for all of the API's scopes.
func selfSignedScopes(parsed *signer.Parsed, host string) ([]string, bool) {
	if scope, _ := parsed.Claims["scope"].(string); scope != "" {
		return strings.Fields(scope), true
	}
	audience, _ := parsed.Claims["aud"].(string)
	rest, ok := strings.CutPrefix(audience, "https://"+host)
	if !ok || rest != "" && !strings.HasPrefix(rest, "/") {
		return nil, false
	}
	return []string{cloudPlatform}, true
}

// cloudPlatform is the scope that covers every Google Cloud API.
const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

func orUnknown(err error) error {
	if err == nil {
		return ErrUnknown
	}
	return err
}

func unixSeconds(claim any) int64 {
	number, _ := claim.(json.Number)
	seconds, _ := number.Float64() // 0 for what is no number
	return int64(seconds)
}

// SignedBy tells whether a JWT is signed with a key of a service account: one of its key
// files, one that Google keeps for it, or one that it is known by. Whatever key the header
// names: some clients name none.
func (i *Issuer) SignedBy(parsed *signer.Parsed, account *world.ServiceAccount) (bool, error) {
	if !parsed.IsRS256() {
		return false, nil
	}
	usable, err := accountkeys.Usable(i.keys, account)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(usable, func(key accountkeys.Key) bool { return parsed.SignedBy(key.Public()) }), nil
}
