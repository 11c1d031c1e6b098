// Package publishedkeys publishes data for verifiers: the certificates and JSON web keys of
// Google and of service accounts, and the OpenID Connect discovery document.
//
// Package keys selects the keys.
package publishedkeys

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/accountkeys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// maxAge is the lifetime of keys in clients' caches. Google allows hours; here a rotation must
// become visible soon.
const maxAge = 5 * time.Minute

// Server handles requests for keys. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	keys   *keys.Ring
	now    func() time.Time

	certificates, jwks memo // for Google's keys, which every verifier requests
	latest             atomic.Pointer[validity]
}

// validity is the header with the time for which clients may keep the answers of one second.
type validity struct {
	second int64
	header http.Header
}

// New returns a server for a ring's keys.
func New(worlds *store.Store[*world.World], ring *keys.Ring, now func() time.Time) *Server {
	return &Server{worlds: worlds, keys: ring, now: now}
}

// Dialect returns the format of Google's published keys. Unlike other answers, clients may
// cache these.
func Dialect() wire.Dialect {
	dialect := googleapi.Dialect()
	dialect.Header = slices.DeleteFunc(dialect.Header, func(field wire.Field) bool { return field.Name == "Vary" })
	dialect.Header = append(dialect.Header,
		wire.Field{Name: "Vary", Value: "Origin,X-Origin,Referer,Accept-Encoding"},
		wire.Field{Name: "Accept-Ranges", Value: "none"})
	return dialect
}

// memo caches the encoded form of the last list of keys.
type memo struct {
	last atomic.Pointer[printed]
}

type printed struct {
	keys []*keys.Key
	body string
}

func (m *memo) print(published []*keys.Key, write func([]*keys.Certified) any) string {
	if last := m.last.Load(); last != nil && slices.Equal(last.keys, published) {
		return last.body
	}
	body := wire.Pretty(write(publicHalves(published)))
	m.last.Store(&printed{keys: published, body: body})
	return body
}

// Certificates returns the X.509 certificates of Google's keys, by key ID.
func (s *Server) Certificates(r *http.Request) (wire.Response, error) {
	return s.google(r.Context(), &s.certificates, certificateMap)
}

// SessionCertificates returns the X.509 certificates of the keys for Firebase session cookies
// (https://firebase.google.com/docs/auth/admin/manage-cookies).
func (s *Server) SessionCertificates(r *http.Request) (wire.Response, error) {
	return s.set(r.Context(), s.keys.FirebaseSession(), certificateMap)
}

// SessionJWKS returns the same keys as a JSON web key set
// (https://cloud.google.com/identity-platform/docs/reference/rest/v1/TopLevel/getSessionCookiePublicKeys).
func (s *Server) SessionJWKS(r *http.Request) (wire.Response, error) {
	return s.set(r.Context(), s.keys.FirebaseSession(), jwkSet)
}

// JWKS returns Google's JSON web key set (RFC 7517, section 5).
func (s *Server) JWKS(r *http.Request) (wire.Response, error) {
	return s.google(r.Context(), &s.jwks, jwkSet)
}

func (s *Server) google(ctx context.Context, memo *memo, write func([]*keys.Certified) any) (wire.Response, error) {
	published, err := s.keys.Google().Published(ctx)
	if err != nil {
		return wire.Response{}, fmt.Errorf("make Google's keys: %w", err)
	}
	return s.cacheable(memo.print(published, write)), nil
}

// AccountCertificates returns the certificates of a service account's keys.
func (s *Server) AccountCertificates(r *http.Request) (wire.Response, error) {
	return s.account(r, certificateMap)
}

// AccountJWKS returns the JSON web key set of a service account.
func (s *Server) AccountJWKS(r *http.Request) (wire.Response, error) { return s.account(r, jwkSet) }

// AccountRaw returns the modulus and exponent of each of a service account's keys.
func (s *Server) AccountRaw(r *http.Request) (wire.Response, error) { return s.account(r, rawKeys) }

// account publishes the usable keys of an account: the system-managed key, which at Google
// always exists, and the user-managed keys.
func (s *Server) account(r *http.Request, write func([]*keys.Certified) any) (wire.Response, error) {
	id := r.PathValue("account")
	if id == token.FirebaseSigner {
		return s.set(r.Context(), s.keys.Firebase(), write)
	}
	account, ok := s.worlds.Load().State.Account(id)
	if !ok {
		return wire.Response{}, googleapi.NotFound("Not found; Gaia id not found for email " + id)
	}
	if _, err := s.keys.System(account.Email).Published(r.Context()); err != nil {
		return wire.Response{}, fmt.Errorf("make the key of %q: %w", account.Email, err)
	}
	usable, err := accountkeys.Usable(s.keys, account)
	if err != nil {
		return wire.Response{}, err
	}
	published := make([]*keys.Certified, len(usable))
	for i, key := range usable {
		published[i] = key.Certified
	}
	return s.cacheable(wire.Pretty(write(published))), nil
}

// set publishes one of Google's own key sets.
func (s *Server) set(ctx context.Context, set *keys.Set, write func([]*keys.Certified) any) (wire.Response, error) {
	published, err := set.Published(ctx)
	if err != nil {
		return wire.Response{}, fmt.Errorf("make Google's keys: %w", err)
	}
	return s.cacheable(wire.Pretty(write(publicHalves(published)))), nil
}

func publicHalves(published []*keys.Key) []*keys.Certified {
	halves := make([]*keys.Certified, len(published))
	for i, key := range published {
		halves[i] = &key.Certified
	}
	return halves
}

// IAPKeys returns the keys of Identity-Aware Proxy, as PEM blocks by key ID
// (https://cloud.google.com/iap/docs/signed-headers-howto).
func (s *Server) IAPKeys(*http.Request) (wire.Response, error) {
	key, err := s.keys.IAP()
	if err != nil {
		return wire.Response{}, fmt.Errorf("make the key of Identity-Aware Proxy: %w", err)
	}
	return s.cacheable(wire.Pretty(map[string]string{key.ID(): key.PublicKey()})), nil
}

// IAPJWKS returns the same keys as a JSON web key set.
func (s *Server) IAPJWKS(*http.Request) (wire.Response, error) {
	key, err := s.keys.IAP()
	if err != nil {
		return wire.Response{}, fmt.Errorf("make the key of Identity-Aware Proxy: %w", err)
	}
	return s.cacheable(wire.Pretty(struct {
		Keys []keys.ECJWK `json:"keys"`
	}{[]keys.ECJWK{key.JWK()}})), nil
}

func (s *Server) cacheable(body string) wire.Response {
	return wire.Response{ContentType: googleapi.ContentType, Shared: s.validity().header, Body: body}
}

// validity returns the header of answers of the present second.
func (s *Server) validity() *validity {
	now := s.now()
	if latest := s.latest.Load(); latest != nil && latest.second == now.Unix() {
		return latest
	}
	next := &validity{now.Unix(), http.Header{
		"Cache-Control": {"public, max-age=" + strconv.Itoa(int(maxAge/time.Second)) + ", must-revalidate, no-transform"},
		"Expires":       {now.Add(maxAge).UTC().Format(http.TimeFormat)},
	}}
	s.latest.Store(next)
	return next
}

func certificateMap(published []*keys.Certified) any {
	certificates := map[string]string{}
	for _, key := range published {
		certificates[key.ID()] = key.Certificate()
	}
	return certificates
}

func jwkSet(published []*keys.Certified) any {
	set := struct {
		Keys []keys.JWK `json:"keys"`
	}{}
	for _, key := range published {
		set.Keys = append(set.Keys, key.JWK())
	}
	return set
}

// rawKeys returns keys in Google's older format "raw".
func rawKeys(published []*keys.Certified) any {
	type rawKey struct {
		Algorithm string `json:"algorithm"`
		Exponent  string `json:"exponent"`
		KeyID     string `json:"keyid"`
		Modulus   string `json:"modulus"`
	}
	set := struct {
		KeyValues []rawKey `json:"keyvalues"`
	}{}
	for _, key := range published {
		jwk := key.JWK()
		set.KeyValues = append(set.KeyValues,
			rawKey{Algorithm: jwk.Type, Exponent: jwk.Exponent, KeyID: jwk.ID, Modulus: jwk.Modulus})
	}
	return set
}

// Configuration returns the OpenID Connect discovery document (OpenID Connect Discovery 1.0,
// section 3). Under one of Google's host names, the endpoints are Google's; under other names
// they are this emulator's. The issuer is always Google, as in the tokens.
func (s *Server) Configuration(r *http.Request) (wire.Response, error) {
	document := googleConfiguration()
	if !hostname.IsGoogle(hostname.Of(r.Host)) {
		document.move(wire.BaseURL(r))
	}
	return s.cacheable(wire.Indented(document, " ")), nil
}

// configuration has the members in the order of Google's document.
type configuration struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	ResponseTypes         []string `json:"response_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	SigningAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	Scopes                []string `json:"scopes_supported"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	Claims                []string `json:"claims_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
}

func googleConfiguration() *configuration {
	return &configuration{
		Issuer:                "https://accounts.google.com",
		AuthorizationEndpoint: "https://accounts.google.com/o/oauth2/v2/auth",
		DeviceEndpoint:        "https://oauth2.googleapis.com/device/code",
		TokenEndpoint:         "https://oauth2.googleapis.com/token",
		UserinfoEndpoint:      "https://openidconnect.googleapis.com/v1/userinfo",
		RevocationEndpoint:    "https://oauth2.googleapis.com/revoke",
		JWKSURI:               "https://www.googleapis.com/oauth2/v3/certs",
		ResponseTypes: []string{
			"code", "token", "id_token", "code token", "code id_token", "token id_token", "code token id_token", "none",
		},
		SubjectTypes:      []string{"public"},
		SigningAlgorithms: []string{"RS256"},
		Scopes:            []string{"openid", "email", "profile"},
		AuthMethods:       []string{"client_secret_post", "client_secret_basic"},
		Claims: []string{
			"aud", "email", "email_verified", "exp", "family_name", "given_name", "iat", "iss", "name", "picture", "sub",
		},
		ChallengeMethods: []string{"plain", "S256"},
		GrantTypes: []string{
			"authorization_code", "refresh_token",
			"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:jwt-bearer",
		},
	}
}

// move replaces the scheme and host of every endpoint.
func (c *configuration) move(base string) {
	for _, endpoint := range []*string{
		&c.AuthorizationEndpoint, &c.DeviceEndpoint, &c.TokenEndpoint, &c.UserinfoEndpoint, &c.RevocationEndpoint, &c.JWKSURI,
	} {
		_, rest, _ := strings.Cut(*endpoint, "://")
		_, path, _ := strings.Cut(rest, "/")
		*endpoint = base + "/" + path
	}
}
