package token

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unique"

	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// IssuerURL is the issuer of Google's ID tokens.
const IssuerURL = "https://accounts.google.com"

// Claims are the claims of an ID token, except its issuer and its times, which are set when it is
// signed. Tokens with equal claims are interchangeable.
type Claims struct {
	Audience        string
	AuthorizedParty string
	Subject         string
	Email           string // empty: the token has no email claim
	Google          Google

	// More claims of a user's ID token (OpenID Connect Core 1.0, sections 2 and 5.1). An empty
	// field omits the claim.
	AccessTokenHash string
	FamilyName      string
	GivenName       string
	Name            string
	Nonce           string
}

// AccessTokenHash returns the claim at_hash of an ID token that is issued together with
// accessToken (OpenID Connect Core 1.0, section 3.1.3.6).
func AccessTokenHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// Google is the claim "google". It describes the VM on which a token was issued.
type Google struct {
	ComputeEngine ComputeEngine  `json:"compute_engine,omitzero"`
	Organization  NoOrganization `json:"organization_number,omitzero"`
}

// NoOrganization reports whether the token must have the claim organization_number. A fixture has
// no organisation, and Google then writes null.
type NoOrganization bool

// MarshalJSON writes null.
func (NoOrganization) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// ComputeEngine describes the VM that a token was issued on
// (https://cloud.google.com/compute/docs/instances/verifying-instance-identity).
type ComputeEngine struct {
	CreationTimestamp int64    `json:"instance_creation_timestamp"` // Unix seconds
	ID                string   `json:"instance_id"`
	Name              string   `json:"instance_name"`
	Licenses          Licenses `json:"license_id,omitempty"`
	ProjectID         string   `json:"project_id"`
	ProjectNumber     uint64   `json:"project_number"`
	Zone              string   `json:"zone,omitempty"`
}

// OnInstance returns the description of an instance for the claim "google".
func OnInstance(w *world.World, instance *world.Instance) ComputeEngine {
	zone := instance.Zone()
	return ComputeEngine{
		CreationTimestamp: instance.CreationTimestamp.Unix(),
		ID:                instance.ID(),
		Name:              instance.Name,
		Licenses:          Licenses(strings.Join(instance.LicenseIDs(), ",")),
		ProjectID:         w.Project.ID,
		ProjectNumber:     w.Project.Number,
		Zone:              zone[strings.LastIndexByte(zone, '/')+1:], // the zone is empty in some recordings
	}
}

// Licenses is a comma-separated list of licence IDs. It is a string because, unlike a slice, a
// string can be compared.
type Licenses string

// MarshalJSON writes a list of strings.
func (l Licenses) MarshalJSON() ([]byte, error) {
	return json.Marshal(strings.Split(string(l), ","))
}

// signedClaims is the payload of an ID token, with its members in Google's order.
type signedClaims struct {
	AccessTokenHash string `json:"at_hash,omitempty"`
	Audience        string `json:"aud"`
	AuthorizedParty string `json:"azp"`
	Email           string `json:"email,omitempty"`
	EmailVerified   bool   `json:"email_verified,omitempty"`
	Expires         int64  `json:"exp"`
	FamilyName      string `json:"family_name,omitempty"`
	GivenName       string `json:"given_name,omitempty"`
	Google          Google `json:"google,omitzero"`
	IssuedAt        int64  `json:"iat"`
	Issuer          string `json:"iss"`
	Name            string `json:"name,omitempty"`
	Nonce           string `json:"nonce,omitempty"`
	Subject         string `json:"sub"`
}

// ID issues an ID token, signed with Google's active key. It waits if the key is still being
// generated.
func (i *Issuer) ID(ctx context.Context, claims Claims) (Token, error) {
	key, err := i.keys.Google().Active(ctx)
	if err != nil {
		return Token{}, err
	}
	issued, expires := i.period(IDTokenLifetime)
	return i.signed(ctx, KindID, signer.RSA(key), signedClaims{
		AccessTokenHash: claims.AccessTokenHash,
		Audience:        claims.Audience,
		AuthorizedParty: claims.AuthorizedParty,
		Email:           claims.Email,
		EmailVerified:   claims.Email != "",
		Expires:         expires.Unix(),
		FamilyName:      claims.FamilyName,
		GivenName:       claims.GivenName,
		Google:          claims.Google,
		IssuedAt:        issued.Unix(),
		Issuer:          IssuerURL,
		Name:            claims.Name,
		Nonce:           claims.Nonce,
		Subject:         claims.Subject,
	}, Token{Issued: issued, Expires: expires})
}

// signed signs the claims, and returns the JWT with the given times.
func (i *Issuer) signed(ctx context.Context, kind Kind, key signer.Key, claims any, times Token) (Token, error) {
	signed, err := i.sign(ctx, kind, key, claims)
	if err != nil {
		return Token{}, err
	}
	signed.Issued, signed.Expires = times.Issued, times.Expires
	return signed, nil
}

// Identity is the claims of an ID token without an audience. Identities of equal claims are equal, and
// comparing them costs as much as comparing pointers.
type Identity struct{ claims unique.Handle[Claims] }

// Identity returns the identity of the claims.
func (c Claims) Identity() Identity {
	c.Audience = ""
	return Identity{unique.Make(c)}
}

// claimsFor returns the claims for an audience.
func (i Identity) claimsFor(audience string) Claims {
	claims := i.claims.Value()
	claims.Audience = audience
	return claims
}

// identityKey identifies a cached ID token. It includes the signing key, because the old key may
// no longer be published after a rotation.
type identityKey struct {
	identity        Identity
	audience, keyID string
}

// CachedID is ID with a cache: while a token stays valid for at least MinimumLeft, it returns the
// same token again. Concurrent calls for the same identity and audience cause one signature.
func (i *Issuer) CachedID(ctx context.Context, identity Identity, audience string) (Token, error) {
	if defectOf(ctx, KindID) != NoDefect {
		return i.ID(ctx, identity.claimsFor(audience))
	}
	active, err := i.keys.Google().Active(ctx)
	if err != nil {
		return Token{}, err
	}
	key := identityKey{identity, audience, active.ID()}
	if known, ok := i.identities.lookUp(key); ok {
		return known, nil
	}
	return i.sharedID(ctx, key)
}

// sharedID issues an ID token that is not in the cache. It is a separate function: the key is copied
// to the heap only if it is called.
func (i *Issuer) sharedID(ctx context.Context, key identityKey) (Token, error) {
	return i.identities.get(ctx, key, len(key.audience), func(ctx context.Context) (Token, error) {
		return i.ID(ctx, key.identity.claimsFor(key.audience))
	})
}

// VerifyID reads an ID token that is signed with a published key of Google and is valid now. The
// error is ErrUnknown, ErrExpired, ErrRevoked, or a failure to read the keys.
func (i *Issuer) VerifyID(ctx context.Context, text string) (*signer.Parsed, error) {
	parsed, err := signer.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	key, ok, err := i.GoogleKey(ctx, parsed.KeyID())
	switch {
	case err != nil:
		return nil, err
	case !ok || !parsed.SignedBy(key) || parsed.Claims["iss"] != IssuerURL:
		return nil, ErrUnknown
	case i.IsRevoked(parsed):
		return nil, ErrRevoked
	default:
		return parsed, i.inTime(parsed)
	}
}

// GoogleKey returns the published key of Google's ID tokens with this ID. If there is no such key,
// ok is false.
func (i *Issuer) GoogleKey(ctx context.Context, id string) (key *rsa.PublicKey, ok bool, err error) {
	found, ok, err := i.keys.Google().Find(ctx, id)
	if err != nil || !ok {
		return nil, false, err
	}
	return found.Public(), true, nil
}

func (i *Issuer) inTime(parsed *signer.Parsed) error {
	now := i.now()
	if issued, ok := parsed.Time("iat"); ok && now.Before(issued) || !parsed.BeginsBy(now) {
		return ErrUnknown
	}
	if expires, ok := parsed.Time("exp"); !ok || !now.Before(expires) {
		return ErrExpired
	}
	return nil
}
