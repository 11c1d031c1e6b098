package token

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// verifyJWT checks the form, algorithm, signature, issuer, times, audience and e-mail address of
// a JWT, in this order.
func (i *Issuer) verifyJWT(ctx context.Context, w *world.World, text string, demand Demand) (Verified, error) {
	parsed, signedBy, err := i.signature(ctx, w, text)
	if err != nil {
		return Verified{}, err
	}
	if i.IsRevoked(parsed) {
		return Verified{}, refused("the token was revoked")
	}
	verified := Verified{Kind: signedBy.kind, Claims: parsed.Claims}
	if verified.Kind == KindJWT {
		scope, _ := parsed.Claims["scope"].(string)
		verified.Scopes = iam.CanonicalScopes(strings.Fields(scope))
	}
	if verified.Kind == KindJWT && isCustom(parsed) {
		verified.Kind = KindFirebaseCustom
	}
	if verified.Principal, err = signedBy.principal(w, parsed); err != nil {
		return Verified{}, err
	}
	if verified.Expires, err = i.checkTimes(parsed, verified.Kind); err != nil {
		return Verified{}, err
	}
	if verified.Kind == KindFirebaseCustom {
		err = checkCustom(parsed, signedBy.account)
	}
	if err != nil {
		return Verified{}, err
	}
	return verified, checkDemand(parsed, verified, demand)
}

func checkAlgorithm(parsed *signer.Parsed) error {
	algorithm, _ := parsed.Header["alg"].(string)
	switch {
	case strings.EqualFold(algorithm, "none") || algorithm == "":
		return refused("the token is not signed: its header says alg %q", algorithm)
	case !parsed.IsRS256() && algorithm != "ES256": // the algorithm of Identity-Aware Proxy
		return refused("the token is signed with %q, but only RS256 and ES256 are accepted", algorithm)
	default:
		return nil
	}
}

func orNothing(claim any) string {
	if claim == nil {
		return ""
	}
	return fmt.Sprint(claim)
}

// checkTimes checks the times of a JWT and returns its expiry. Only a JWT of a service account
// may have no expiry. Google's ID tokens are checked without clock skew.
func (i *Issuer) checkTimes(parsed *signer.Parsed, kind Kind) (time.Time, error) {
	now, skew := i.now(), time.Duration(0)
	if kind == KindJWT || kind == KindFirebaseCustom {
		skew = AllowedSkew
	}
	names := []string{"nbf", "iat", "exp"}
	if kind.IsFirebase() {
		names = append(names, "auth_time")
	}
	for _, name := range names {
		from, ok := parsed.Time(name)
		switch claim, named := parsed.Claims[name]; {
		case named && !ok:
			return time.Time{}, refused("the claim %s is not a time in seconds since 1970: %v", name, claim)
		case name != "exp" && from.After(now.Add(skew)):
			return time.Time{}, i.early(from)
		}
	}
	expires, ends := parsed.Time("exp")
	if !ends {
		if kind != KindJWT {
			return time.Time{}, refused("the token does not say when it expires")
		}
		return time.Time{}, nil
	}
	if !now.Before(expires) {
		return time.Time{}, i.expired(expires)
	}
	return expires, nil
}

// checkDemand checks the audience and the e-mail address of a JWT. An unverified address is
// refused even without a demand, because only Firebase issues such tokens.
func checkDemand(parsed *signer.Parsed, verified Verified, demand Demand) error {
	audiences := parsed.Audiences()
	if demand.Audience != "" && !slices.Contains(audiences, demand.Audience) {
		return refused("the token is for %q, not for %q", strings.Join(audiences, ", "), demand.Audience)
	}
	if demand.Audience == "" && !demand.AnyAudience && slices.Contains(audiences, WrongAudienceURL) {
		return refused("the token's audience is %q, a placeholder that matches no service", WrongAudienceURL)
	}
	email, _ := parsed.Claims["email"].(string)
	named := email != ""
	proof, verifies := parsed.Claims["email_verified"]
	mayBeUnverified := verified.Kind.IsFirebase() && demand.Email == ""
	if (verifies || named && verified.Kind == KindID) && !mayBeUnverified && proof != true {
		return refused("the token does not say that the e-mail address %q is verified", email)
	}
	switch {
	case verified.Kind == KindJWT, verified.Kind == KindFirebaseCustom:
		return opaque(verified.Principal, "the token", Demand{Email: demand.Email})
	case !named && alwaysNamesEmail(parsed, verified.Kind):
		return refused("the token has no e-mail address, but all tokens of its kind have one")
	case !named && demand.Email != "":
		return refused("the token has no e-mail address, so it cannot be shown to be for %q", demand.Email)
	case demand.Email != "" && !strings.EqualFold(email, demand.Email):
		return refused("the token is for the e-mail address %q, not %q", email, demand.Email)
	default:
		return nil
	}
}

// alwaysNamesEmail reports whether Google issues such tokens only with an e-mail address:
// assertions of Identity-Aware Proxy, and ID tokens that describe a VM.
func alwaysNamesEmail(parsed *signer.Parsed, kind Kind) bool {
	google, _ := parsed.Claims["google"].(map[string]any)
	_, tellsOfVM := google["compute_engine"]
	return kind == KindIAP || tellsOfVM
}
