package sts

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Error texts of Google's server.
const (
	wrongIssuer    = "The issuer in ID Token %s does not match the expected one in config: %s."
	wrongAudience  = "The audience in ID Token [%s] does not match the expected audience."
	stale          = "ID Token issued at %s is stale to sign-in."
	badSignature   = "Unable to verify the ID Token signature."
	unknownKey     = "Error connecting to the given credential's issuer."
	conditionUnmet = "The given credential is rejected by the attribute condition."
	wrongType      = "The mapped attribute '%s' must be of type %s."
	subjectSize    = "The size of mapped attribute google.subject exceeds the %d bytes limit. Either modify your attribute mapping " +
		"or the incoming assertion to produce a mapped attribute that is less than %[1]d bytes."
	malformedAudience = `Invalid value for "audience". This value should be the full resource name of the Identity Provider. ` +
		"See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats."
	unknownTarget = `The target service indicated by the "audience" parameters is invalid. ` +
		"This might either be because the pool or provider is disabled or deleted or because it doesn't exist."
	noScope = "Invalid OAuth scope or ID token audience provided."
)

const (
	maxLifetime = time.Hour
	allowedSkew = time.Minute // of the issuer's clock, in either direction
)

// federate exchanges an identity provider's token for the access token of a federated principal.
func (s *Server) federate(ctx context.Context, form parameters, subject string, boundary json.RawMessage) (exchanged, error) {
	audience := form.get("audience")
	if _, _, isCluster := world.ClusterAudience(audience); !isCluster && !isProviderName(audience) {
		return exchanged{}, oauthapi.NewError(oauthapi.InvalidRequest, malformedAudience)
	}
	pool, provider, ok := s.worlds.Load().State.Provider(audience)
	if !ok {
		return exchanged{}, oauthapi.NewError(oauthapi.InvalidTarget, unknownTarget)
	}
	scopes := strings.Fields(form.get("scope"))
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(scope string) bool { return !oauthapi.IsScope(scope) }) {
		return exchanged{}, oauthapi.NewError(oauthapi.InvalidScope, noScope)
	}
	proof, err := s.prove(ctx, provider, form.get("subject_token_type"), subject)
	if err != nil {
		return exchanged{}, err
	}
	principal, err := principalOf(pool, provider, proof.claims)
	if err != nil {
		return exchanged{}, err
	}
	lifetime := min(max(proof.expires.Sub(s.now().Truncate(time.Second)), 0), maxLifetime)
	issued, err := s.issuer.Access(ctx, token.Grant{Principal: principal, Scopes: scopes, Boundary: boundary}, lifetime)
	if err != nil {
		return exchanged{}, fmt.Errorf("issue a federated token: %w", err)
	}
	return exchanged{
		AccessToken: issued.Text, IssuedTokenType: typeAccessToken, TokenType: oauthapi.TokenTypeBearer, defective: issued.IsDefective(),
		ExpiresIn: max(int64(lifetime/time.Second)-1, 0), // Google's server also sends one second less
	}, nil
}

// proof is the content of a verified subject token.
type proof struct {
	claims  map[string]any // as expressions see them
	expires time.Time
}

// prove verifies a subject token in the way of its type, which must be the provider's.
func (s *Server) prove(ctx context.Context, provider *world.Provider, kind, subject string) (proof, error) {
	isJWT := kind == typeJWT || kind == typeIDToken
	switch {
	case kind == typeAWS && provider.AWS != nil:
		return s.proveAWS(ctx, provider, subject)
	case kind == typeSAML && provider.SAML != nil:
		return s.proveSAML(provider, subject)
	case isJWT && provider.Issuer != "":
		return s.proveJWT(ctx, provider, subject)
	default:
		return proof{}, oauthapi.NewError(oauthapi.InvalidRequest, "Invalid subject_token_type for the identity provider: "+kind)
	}
}

func (s *Server) proveJWT(ctx context.Context, provider *world.Provider, subject string) (proof, error) {
	parsed, err := signer.Parse(strings.TrimRight(subject, "\r\n")) // a file written by echo ends so
	if err != nil {
		return proof{}, oauthapi.NewError(oauthapi.InvalidGrant, "Unable to parse the ID Token.")
	}
	expires, err := s.verify(ctx, provider, parsed)
	if err != nil {
		return proof{}, err
	}
	return proof{plain(parsed.Claims).(map[string]any), expires}, nil
}

// isProviderName reports whether audience has the form of a provider's full resource name, in a
// workload or workforce identity pool.
func isProviderName(audience string) bool {
	name, ok := strings.CutPrefix(audience, world.IAMHost)
	parts := strings.Split(name, "/")
	if !ok || slices.Contains(parts, "") {
		return false
	}
	const project, pool, provider = 1, 5, 7
	if len(parts) > project && parts[0] == "projects" && len(parts) == provider+1 {
		_, err := strconv.ParseUint(parts[project], 10, 64)
		parts[project], parts[pool], parts[provider] = "N", "P", "Q"
		return err == nil && strings.Join(parts, "/") == "projects/N/locations/global/workloadIdentityPools/P/providers/Q"
	}
	const workforcePool, workforceProvider = 3, 5
	if len(parts) != workforceProvider+1 {
		return false
	}
	parts[workforcePool], parts[workforceProvider] = "P", "Q"
	return strings.Join(parts, "/") == "locations/global/workforcePools/P/providers/Q"
}

// verify checks the issuer, audience, times and signature of a token, in this order, against the
// provider's settings. It returns the token's expiry.
func (s *Server) verify(ctx context.Context, provider *world.Provider, parsed *signer.Parsed) (expires time.Time, err error) {
	if issuer, _ := parsed.Claims["iss"].(string); issuer != provider.Issuer {
		return time.Time{}, refuse(wrongIssuer, orNull(parsed.Claims["iss"]), provider.Issuer)
	}
	if audiences := parsed.Audiences(); !slices.ContainsFunc(audiences, func(audience string) bool { return isFor(provider, audience) }) {
		return time.Time{}, refuse(wrongAudience, strings.Join(audiences, ", "))
	}
	expires, err = s.checkTimes(parsed)
	if err != nil {
		return time.Time{}, err
	}
	keys, err := s.keys(ctx, provider, parsed.KeyID())
	switch {
	case err != nil:
		return time.Time{}, err
	case len(keys) == 0:
		return time.Time{}, refuse(unknownKey)
	case !slices.ContainsFunc(keys, parsed.SignedByForeign), provider.OwnKeys && s.issuer.IsRevoked(parsed):
		return time.Time{}, refuse(badSignature)
	default:
		return expires, nil
	}
}

func refuse(format string, arguments ...any) *oauthapi.Error {
	return oauthapi.NewError(oauthapi.InvalidGrant, fmt.Sprintf(format, arguments...))
}

// isFor reports whether a token with this audience is for the provider. If the provider lists no
// allowed audiences, the audience must be the provider's own resource name.
func isFor(provider *world.Provider, audience string) bool {
	if len(provider.AllowedAudiences) > 0 {
		return slices.Contains(provider.AllowedAudiences, audience)
	}
	return strings.TrimPrefix(audience, "https:") == world.IAMHost+provider.Name
}

// checkTimes checks, within the allowed clock skew, that the token was issued in the past and has
// not expired.
func (s *Server) checkTimes(parsed *signer.Parsed) (expires time.Time, err error) {
	issuedAt, issued := parsed.Time("iat")
	expires, ends := parsed.Time("exp")
	now := s.now()
	if !issued || !ends || issuedAt.After(now.Add(allowedSkew)) || now.After(expires.Add(allowedSkew)) || !parsed.BeginsBy(now.Add(allowedSkew)) {
		return time.Time{}, refuse(stale, orNull(parsed.Claims["iat"]))
	}
	return expires, nil
}

// orNull formats a claim as Google's error texts quote it.
func orNull(claim any) string {
	if claim == nil {
		return "null"
	}
	return fmt.Sprint(claim)
}

// keys returns the provider's keys with this ID.
func (s *Server) keys(ctx context.Context, provider *world.Provider, id string) ([]crypto.PublicKey, error) {
	if provider.OwnKeys && s.cluster != nil {
		if keys, known := s.cluster.Keys(ctx, provider.Issuer, id); known {
			return keys, nil
		}
	}
	if provider.OwnKeys {
		key, ok, err := s.issuer.GoogleKey(ctx, id)
		if err != nil || !ok {
			return nil, err
		}
		return []crypto.PublicKey{key}, nil
	}
	var keys []crypto.PublicKey
	for _, key := range provider.Keys {
		if key.ID == id {
			keys = append(keys, key.Public)
		}
	}
	return keys, nil
}

// principalOf maps a token's claims to a principal. Its errors have the texts of Google's server.
func principalOf(pool *world.Pool, provider *world.Provider, claims map[string]any) (iam.Principal, error) {
	principal, err := provider.Principal(pool, claims)
	if err == nil {
		return principal, nil
	}
	if errors.Is(err, world.ErrCondition) {
		return iam.Principal{}, oauthapi.NewError(oauthapi.UnauthorizedClient, conditionUnmet)
	}
	if mistyped, ok := errors.AsType[*world.AttributeTypeError](err); ok {
		return iam.Principal{}, oauthapi.NewError(oauthapi.UnauthorizedClient, fmt.Sprintf(wrongType, mistyped.Attribute, mistyped.Want))
	}
	if tooLong, ok := errors.AsType[*world.SubjectSizeError](err); ok {
		return iam.Principal{}, oauthapi.NewError(oauthapi.InvalidRequest, fmt.Sprintf(subjectSize, tooLong.Limit))
	}
	return iam.Principal{}, err
}

// plain converts json.Number to float64, the type that expressions use.
func plain(claim any) any {
	switch claim := claim.(type) {
	case map[string]any:
		all := make(map[string]any, len(claim))
		for name, value := range claim {
			all[name] = plain(value)
		}
		return all
	case []any:
		all := make([]any, len(claim))
		for i, value := range claim {
			all[i] = plain(value)
		}
		return all
	case json.Number:
		number, _ := claim.Float64() // infinite if the number exceeds float64
		return number
	default:
		return claim
	}
}
