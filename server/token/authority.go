package token

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"strings"

	"gcp-metadata-emulator/server/accountkeys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// authority is the signer of a JWT: Google, Identity-Aware Proxy, Firebase or a service account.
type authority struct {
	kind    Kind
	account *world.ServiceAccount // only for KindJWT
	key     crypto.PublicKey
}

// authority finds the key that a token names, among Google's keys, those of Firebase and the keys of the service
// account that issued it. If the issuer is neither an account nor Google, the keys of all
// accounts count, because signJwt also signs such payloads.
func (i *Issuer) authority(ctx context.Context, w *world.World, parsed *signer.Parsed) (authority, error) {
	if !parsed.IsRS256() {
		return i.proxyAuthority(parsed)
	}
	if key, ok, err := i.GoogleKey(ctx, parsed.KeyID()); err != nil || ok {
		return authority{kind: KindID, key: key}, err
	}
	if found, ok, err := i.firebaseAuthority(parsed); err != nil || ok {
		return found, err
	}
	issuer, _ := parsed.Claims["iss"].(string)
	accounts := w.Accounts
	if account, ok := w.Account(issuer); ok {
		accounts = []*world.ServiceAccount{account}
	} else if issuer == IssuerURL {
		accounts = nil
	}
	for _, account := range accounts {
		if key, err := i.keyOf(account, parsed); err != nil || key != nil {
			return authority{KindJWT, account, key}, err
		}
	}
	return authority{}, unpublished(parsed)
}

// keyOf returns the account's key that signed the token, or nil. A key ID in the header must
// match, except for uploaded keys, because their owners may use other key IDs.
func (i *Issuer) keyOf(account *world.ServiceAccount, parsed *signer.Parsed) (*rsa.PublicKey, error) {
	usable, err := accountkeys.Usable(i.keys, account)
	if err != nil {
		return nil, err
	}
	for _, key := range usable {
		if key.ID() == parsed.KeyID() || (key.Uploaded || parsed.KeyID() == "") && parsed.SignedBy(key.Public()) {
			return key.Public(), nil
		}
	}
	return nil, nil //nolint:nilnil // nil means that there is no such key
}

func unpublished(parsed *signer.Parsed) error {
	return &RefusedError{
		Reason:     fmt.Sprintf("the token names key ID %q, but this emulator has not published a key with that ID", parsed.KeyID()),
		UnknownKey: true,
	}
}

// principal returns the token's principal, and checks that the token's issuer is also its signer.
func (a authority) principal(w *world.World, parsed *signer.Parsed) (iam.Principal, error) {
	issuer := parsed.Claims["iss"]
	if a.kind == KindJWT {
		text, _ := issuer.(string)
		if account, ok := w.Account(text); parsed.Has("iss") && (!ok || account != a.account) {
			return iam.Principal{}, refused("the issuer is %q, but the token is signed with a key of %q", fmt.Sprint(issuer), a.account.Email)
		}
		return a.account.Principal(), nil
	}
	if a.kind.IsFirebase() {
		return firebasePrincipal(a.kind, parsed)
	}
	want, prefix := IssuerURL, ""
	if a.kind == KindIAP {
		want, prefix = IAPIssuer, iapSubject
	}
	if issuer != want {
		return iam.Principal{}, refused("the issuer is %q, not %q", orNothing(issuer), want)
	}
	subject, _ := parsed.Claims["sub"].(string)
	subject = strings.TrimPrefix(subject, prefix)
	if who, ok := w.Principal(subject); ok {
		return who, nil
	}
	return iam.Principal{}, refused("the subject is %q, but no account or user has that ID", subject)
}
