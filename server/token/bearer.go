package token

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Bearer reads the credential of a call to the Google API on host: an access token, or a JWT that a
// service account signed for this API (https://google.aip.dev/auth/4111). The token's principal
// must exist and be enabled. The error is ErrUnknown, ErrExpired, ErrRevoked, ErrInactive, or a
// failure to read the keys. With ErrExpired, ErrRevoked and ErrInactive it also returns the content
// of the credential, for a message about its holder.
func (i *Issuer) Bearer(w *world.World, text, host string) (Access, error) {
	access, err := i.credential(w, text, host)
	if err == nil && !isActive(w, access.Principal) {
		err = ErrInactive
	}
	return access, err
}

// NotBearer says in one sentence why Bearer refuses a text for the API on host.
func (i *Issuer) NotBearer(ctx context.Context, w *world.World, text, host string) string {
	verified, err := i.Verify(ctx, w, text, Demand{AnyAudience: true})
	claims := &signer.Parsed{Claims: verified.Claims}
	_, isForAPI := selfSignedScopes(claims, []string{host, inUniverse(host, w.UniverseDomain)})
	switch {
	case err != nil:
		return err.Error()
	case verified.Kind != KindJWT && verified.Kind != KindAccess:
		return fmt.Sprintf("a token of kind %q is not a bearer token", verified.Kind)
	case claims.Claims["iss"] != claims.Claims["sub"]:
		return fmt.Sprintf("the issuer of the JSON Web Token is %q, and its subject is %q", orNothing(claims.Claims["iss"]), orNothing(claims.Claims["sub"]))
	case !isForAPI && host == "":
		return fmt.Sprintf("the JSON Web Token is for %q, and not for an API that the request names", strings.Join(claims.Audiences(), ", "))
	case !isForAPI:
		return fmt.Sprintf("the JSON Web Token is for %q, not for %q", strings.Join(claims.Audiences(), ", "), "https://"+host+"/")
	default:
		return "the JSON Web Token is valid for more than an hour, or does not say when it was issued and expires"
	}
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
		pool, ok := w.Pool(p.Pool)
		return ok && !pool.Disabled
	case iam.KindUnknown:
	}
	return false
}

// selfSigned reads a JWT with the service account as issuer and as subject. Its audience must be
// the API, unless a scope claim takes the audience's place. If the JWT is for another purpose, such
// as an ID token, selfSigned refuses it before it verifies the signature. It checks the times last:
// ErrExpired therefore means a JWT that was valid once.
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
	scopes, ok := selfSignedScopes(parsed, []string{host, inUniverse(host, w.UniverseDomain)})
	if !ok {
		return Access{}, ErrUnknown
	}
	if signed, err := i.SignedBy(parsed, account); err != nil || !signed {
		return Access{}, orUnknown(err)
	}
	issuedAt, begins := parsed.Time("iat")
	expires, ends := parsed.Time("exp")
	now := i.now()
	if begins && ends && !expires.After(now) {
		return Access{}, ErrExpired
	}
	if !begins || !ends || !IsShortLived(issuedAt, expires, now) || !parsed.BeginsBy(now.Add(AllowedSkew)) {
		return Access{}, ErrUnknown
	}
	return Access{Grant: ForAccount(account, scopes), IssuedAt: issuedAt.Unix(), Expires: expires.Unix()}, nil
}

// selfSignedScopes returns the scopes in the scope claim, or cloud-platform if there are none. If
// the audience is not the API on host, it reports false. If there is a scope, the audience may be
// missing. The audience may have a path.
func selfSignedScopes(parsed *signer.Parsed, hosts []string) ([]string, bool) {
	scope, _ := parsed.Claims["scope"].(string)
	scopes := iam.CanonicalScopes(strings.Fields(scope))
	named := parsed.Has("aud")
	if named && !isAPI(parsed.Claims["aud"], hosts) || !named && len(scopes) == 0 {
		return nil, false
	}
	if len(scopes) == 0 {
		scopes = []string{iam.CloudPlatform}
	}
	return scopes, true
}

// isAPI reports whether audience is a URL of the API on one of its hosts.
func isAPI(audience any, hosts []string) bool {
	text, _ := audience.(string)
	return slices.ContainsFunc(hosts, func(host string) bool {
		rest, ok := strings.CutPrefix(text, "https://"+host)
		return ok && host != "" && (rest == "" || strings.HasPrefix(rest, "/"))
	})
}

// inUniverse returns the host of an API in a universe.
func inUniverse(host, universe string) string {
	api, ok := strings.CutSuffix(host, "."+hostname.DefaultUniverse)
	if !ok || universe == "" {
		return host
	}
	return api + "." + universe
}

func orUnknown(err error) error {
	if err == nil {
		return ErrUnknown
	}
	return err
}

// SignedBy reports whether a key of the service account signed the JWT. The account's keys are its
// key files, the keys that Google keeps for it, and uploaded keys. If the header names a key, only
// this key counts. If the JWT is revoked, SignedBy is false.
func (i *Issuer) SignedBy(parsed *signer.Parsed, account *world.ServiceAccount) (bool, error) {
	if !parsed.IsRS256() || i.IsRevoked(parsed) {
		return false, nil
	}
	key, err := i.keyOf(account, parsed)
	return key != nil && parsed.SignedBy(key), err
}
