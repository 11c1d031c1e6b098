package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
	"gcp-metadata-emulator/signer"
)

// press holds a world and an issuer at a fixed time.
type press struct {
	*token.Issuer

	ring  *keys.Ring
	world *world.World
	now   time.Time
}

func newPress(t *testing.T) *press {
	t.Helper()
	m := &press{world: worldtest.Parse(t, `
project: {id: my-project, number: 7}
users: [{email: dev@example.com, uniqueId: "3"}]
serviceAccounts: [{email: a@my-project.iam.gserviceaccount.com, uniqueId: "1"}, {email: off@my-project.iam.gserviceaccount.com, uniqueId: "2", disabled: true}]
instances: [{name: vm, serviceAccounts: []}, {name: pod, profile: gke, kubernetesServiceAccount: ns/app, serviceAccounts: []}]
`), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return m.now }
	m.ring = worldtest.Ring(clock)
	m.Issuer = token.NewIssuer(m.ring, clock)
	return m
}

const (
	owner    = "a@my-project.iam.gserviceaccount.com"
	disabled = "off@my-project.iam.gserviceaccount.com"
	service  = "https://service.example.com"
)

func (m *press) order(t *testing.T, id string, order token.Order) string {
	t.Helper()
	who, ok := m.world.Principal(id)
	if !ok {
		t.Fatalf("there is no %q", id)
	}
	order.Principal = who
	issued, err := m.Mint(t.Context(), m.world, order)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Text
}

// id returns an ID token with changed claims.
func (m *press) id(t *testing.T, claims map[string]any) string {
	t.Helper()
	return m.order(t, owner, token.Order{Kind: token.KindID, Audience: service, Claims: claims})
}

func (m *press) jwt(t *testing.T, claims map[string]any) string {
	t.Helper()
	return m.order(t, owner, token.Order{Kind: token.KindJWT, Audience: service, Claims: claims})
}

// iap returns an assertion of Identity-Aware Proxy with changed claims.
func (m *press) iap(t *testing.T, claims map[string]any) string {
	t.Helper()
	return m.order(t, owner, token.Order{Kind: token.KindIAP, Audience: service, Claims: claims})
}

func kidOf(t *testing.T, jwt string) string {
	t.Helper()
	parsed, err := signer.Parse(jwt)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.KeyID()
}

// withoutKeyID returns a JWT of the owner whose header names no key, as some clients write it.
func withoutKeyID(t *testing.T, m *press) string {
	t.Helper()
	key, err := m.ring.User(owner, "1").Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"RS256"}`)) + "." + encode(fmt.Appendf(nil, `{"iss":%q,"sub":%[1]q,"iat":%d,"exp":%d}`, owner, m.now.Unix(), m.now.Unix()+3600))
	signature, err := signer.Blob(key, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(signature)
}

// tampered returns the token with a changed signature.
func tampered(jwt string) string {
	changed := []byte(jwt)
	middle := strings.LastIndex(jwt, ".") + 10
	if changed[middle] == 'A' { // a different letter of base64
		changed[middle]++
	} else {
		changed[middle] = 'A'
	}
	return string(changed)
}

// headed returns the token with another header.
func headed(jwt, header string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + jwt[strings.Index(jwt, "."):]
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	now := m.now.Unix()
	good, self := m.id(t, nil), m.jwt(t, nil)
	kid := kidOf(t, good)
	stranger := &press{world: m.world, now: m.now, ring: keys.NewRing("", time.Now)}
	stranger.Issuer = token.NewIssuer(stranger.ring, func() time.Time { return m.now })
	strange := stranger.id(t, nil)
	misnamed := m.jwt(t, map[string]any{"iss": disabled})
	access := m.order(t, owner, token.Order{Kind: token.KindAccess})
	short := m.order(t, owner, token.Order{Kind: token.KindAccess, Lifetime: time.Minute})
	revoked := m.order(t, owner, token.Order{Kind: token.KindAccess})
	refresh, err := m.Refresh(token.Grant{Principal: iam.Principal{Kind: iam.KindUser, Email: "dev@example.com", ID: "3"}, Session: "gone"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{revoked, refresh} {
		if err := m.Revoke(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	nobody, err := m.Access(t.Context(), token.Grant{Principal: iam.Principal{Kind: iam.KindFederated, ID: "x", Pool: "p"}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	custom, another := token.Demand{Audience: "https://other.example.com"}, token.Demand{Email: "dev@example.com"}
	later := map[string]any{"iat": now + 3600, "exp": now + 7200}
	for name, test := range map[string]struct {
		text   string
		demand token.Demand
		want   string
	}{
		"nothing":               {"", token.Demand{}, "the text is not an access token, a refresh token or a JSON Web Token"},
		"cut off":               {good[:strings.LastIndex(good, ".")-1] + ".x", token.Demand{}, "the JSON Web Token is malformed: it cannot be decoded, because it was truncated or changed"},
		"no access token":       {"ya29.c.x", token.Demand{}, "the access token was not issued by this emulator, or was changed afterwards"},
		"changed access token":  {access[:len(access)-3] + "AAA", token.Demand{}, "the access token was not issued by this emulator, or was changed afterwards"},
		"revoked":               {revoked, token.Demand{}, "the access token was revoked"},
		"no refresh token":      {"1//0x", token.Demand{}, "the refresh token was not issued by this emulator, or was changed afterwards"},
		"revoked refresh token": {refresh, token.Demand{}, "the refresh token was revoked"},
		"access for audience":   {access, custom, `an access token has no audience, so it cannot be for "https://other.example.com"`},
		"access of another":     {access, another, `the token speaks for "serviceAccount:` + owner + `", not for "dev@example.com"`},
		"federated nobody":      {nobody.Text, token.Demand{}, `"principal://iam.googleapis.com/p/subject/x" does not exist in the fixture, or is disabled`},
		"disabled account":      {m.order(t, disabled, token.Order{Kind: token.KindAccess}), token.Demand{}, `service account "` + disabled + `" is disabled`},
		"disabled in ID token":  {m.order(t, disabled, token.Order{Kind: token.KindID, Audience: service}), token.Demand{}, `service account "` + disabled + `" is disabled`},
		"expired":               {m.id(t, map[string]any{"exp": now - 90}), token.Demand{}, "the token expired at 2026-11-21T11:58:30Z, 1m30s ago"},
		"expires now":           {m.id(t, map[string]any{"exp": now}), token.Demand{}, "the token expired at 2026-11-21T12:00:00Z, 0s ago"},
		"no expiry":             {m.id(t, map[string]any{"exp": nil}), token.Demand{}, "the token does not say when it expires"},
		"expires never":         {m.id(t, map[string]any{"exp": json.Number("1e300")}), token.Demand{}, "the claim exp is not a time in seconds since 1970: 1e300"},
		"issued at text":        {m.jwt(t, map[string]any{"iat": "soon"}), token.Demand{}, "the claim iat is not a time in seconds since 1970: soon"},
		"not yet valid":         {m.id(t, later), token.Demand{}, "the token is not valid before 2026-11-21T13:00:00Z, in 1h0m0s"},
		"nbf":                   {m.id(t, map[string]any{"nbf": now + 1}), token.Demand{}, "the token is not valid before 2026-11-21T12:00:01Z, in 1s"},
		"JWT not yet valid":     {m.jwt(t, later), token.Demand{}, "the token is not valid before 2026-11-21T13:00:00Z, in 1h0m0s"},
		"wrong issuer":          {m.id(t, map[string]any{"iss": "https://evil.example.com"}), token.Demand{}, `the issuer is "https://evil.example.com", not "https://accounts.google.com"`},
		"no issuer":             {m.id(t, map[string]any{"iss": nil}), token.Demand{}, `the issuer is "", not "https://accounts.google.com"`},
		"JWT of another":        {misnamed, token.Demand{}, `the token names key ID "` + kidOf(t, misnamed) + `", but this emulator has not published a key with that ID`},
		"JWT of a stranger":     {m.jwt(t, map[string]any{"iss": "x@example.com"}), token.Demand{}, `the issuer is "x@example.com", but the token is signed with a key of "` + owner + `"`},
		"wrong audience":        {good, custom, `the token is for "https://service.example.com", not for "https://other.example.com"`},
		"JWT, wrong audience":   {self, custom, `the token is for "https://service.example.com", not for "https://other.example.com"`},
		"unknown subject":       {m.id(t, map[string]any{"sub": "9"}), token.Demand{}, `the subject is "9", but no account or user has that ID`},
		"unknown key":           {strange, token.Demand{}, `the token names key ID "` + kidOf(t, strange) + `", but this emulator has not published a key with that ID`},
		"tampered":              {tampered(good), token.Demand{}, `the signature does not match key "` + kid + `": the token was changed after it was signed`},
		"alg none":              {headed(good, `{"alg":"none"}`), token.Demand{}, `the token is not signed: its header says alg "none"`},
		"alg HS256":             {headed(good, `{"alg":"HS256","kid":"`+kid+`"}`), token.Demand{}, `the token is signed with "HS256", but only RS256 and ES256 are accepted`},
		"missing email":         {m.id(t, map[string]any{"email": nil}), token.Demand{Email: owner}, `the token has no e-mail address, so it cannot be shown to be for "` + owner + `"`},
		"empty email":           {m.id(t, map[string]any{"email": ""}), token.Demand{Email: owner}, `the token has no e-mail address, so it cannot be shown to be for "` + owner + `"`},
		"unverified email":      {m.id(t, map[string]any{"email_verified": false}), token.Demand{}, `the token does not say that the e-mail address "` + owner + `" is verified`},
		"another's email":       {good, another, `the token is for the e-mail address "` + owner + `", not "dev@example.com"`},
		"JWT of another email":  {self, another, `the token speaks for "serviceAccount:` + owner + `", not for "dev@example.com"`},
		"expired access token":  {short, token.Demand{}, "the token expired at 2026-11-21T12:01:00Z, 59m0s ago"},
		"IAP, wrong issuer":     {m.iap(t, map[string]any{"iss": token.IssuerURL}), token.Demand{}, `the issuer is "https://accounts.google.com", not "https://cloud.google.com/iap"`},
		"IAP, wrong audience":   {m.iap(t, nil), custom, `the token is for "https://service.example.com", not for "https://other.example.com"`},
		"IAP of another":        {m.iap(t, nil), another, `the token is for the e-mail address "` + owner + `", not "dev@example.com"`},
		"IAP without expiry":    {m.iap(t, map[string]any{"exp": nil}), token.Demand{}, "the token does not say when it expires"},
		"IAP of a stranger":     {stranger.iap(t, nil), token.Demand{}, `the token names key ID "` + kidOf(t, stranger.iap(t, nil)) + `", but this emulator has not published a key with that ID`},
		"IAP, tampered":         {tampered(m.iap(t, nil)), token.Demand{}, `the signature does not match key "` + kidOf(t, m.iap(t, nil)) + `": the token was changed after it was signed`},
		"IAP's key, RS256":      {headed(good, `{"alg":"RS256","kid":"`+kidOf(t, m.iap(t, nil))+`"}`), token.Demand{}, `the token names key ID "` + kidOf(t, m.iap(t, nil)) + `", but this emulator has not published a key with that ID`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := m.Issuer
			if test.text == short {
				issuer = token.NewIssuer(m.ring, func() time.Time { return m.now.Add(time.Hour) })
			}
			_, err := issuer.Verify(t.Context(), m.world, test.text, test.demand)
			var refused *token.RefusedError
			if !errors.As(err, &refused) || refused.Reason != test.want {
				t.Errorf("refused with %v, want %q", err, test.want)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	hour := m.now.Add(time.Hour)
	who, _ := m.world.Principal(owner)
	user, _ := m.world.Principal("dev@example.com")
	platform := []string{"https://www.googleapis.com/auth/cloud-platform"}
	refresh, err := m.Refresh(token.Grant{Principal: user, Scopes: platform, Session: "s"})
	if err != nil {
		t.Fatal(err)
	}
	system, err := m.ring.System(owner).Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.JWT(system, json.RawMessage(`{"any":"thing"}`))
	if err != nil {
		t.Fatal(err)
	}
	pod := m.world.Instances[1].ServiceAccounts[0].Account
	ofPod, err := m.Access(t.Context(), token.ForAccount(pod, platform), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text   string
		demand token.Demand
		want   token.Verified
	}{
		"access of a pod":     {ofPod.Text, token.Demand{}, token.Verified{Kind: token.KindAccess, Principal: pod.Principal(), Scopes: platform, Expires: hour}},
		"access":              {m.order(t, owner, token.Order{Kind: token.KindAccess}), token.Demand{Email: owner}, token.Verified{Kind: token.KindAccess, Principal: who, Scopes: platform, Expires: hour}},
		"access of user":      {m.order(t, "dev@example.com", token.Order{Kind: token.KindAccess, Scopes: []string{"email"}, Lifetime: time.Minute}), token.Demand{}, token.Verified{Kind: token.KindAccess, Principal: user, Scopes: []string{iam.EmailScope}, Expires: m.now.Add(time.Minute)}},
		"refresh":             {refresh, token.Demand{}, token.Verified{Kind: token.KindRefresh, Principal: user, Scopes: platform}},
		"id":                  {m.id(t, nil), token.Demand{Audience: service, Email: owner}, token.Verified{Kind: token.KindID, Principal: who, Expires: hour}},
		"id of empty email":   {m.id(t, map[string]any{"email": "", "email_verified": nil}), token.Demand{Audience: service}, token.Verified{Kind: token.KindID, Principal: who, Expires: hour}},
		"id without an email": {m.id(t, map[string]any{"email": nil, "email_verified": nil}), token.Demand{Audience: service}, token.Verified{Kind: token.KindID, Principal: who, Expires: hour}},
		"id of user":          {m.order(t, "dev@example.com", token.Order{Kind: token.KindID, Audience: service}), token.Demand{}, token.Verified{Kind: token.KindID, Principal: user, Expires: hour}},
		"iap":                 {m.iap(t, nil), token.Demand{Audience: service, Email: owner}, token.Verified{Kind: token.KindIAP, Principal: who, Expires: m.now.Add(10 * time.Minute)}},
		"iap of user":         {m.order(t, "dev@example.com", token.Order{Kind: token.KindIAP, Audience: service, Lifetime: time.Hour}), token.Demand{}, token.Verified{Kind: token.KindIAP, Principal: user, Expires: hour}},
		"several audiences":   {m.id(t, map[string]any{"aud": []string{"x", service}}), token.Demand{Audience: service}, token.Verified{Kind: token.KindID, Principal: who, Expires: hour}},
		"self-signed":         {m.order(t, owner, token.Order{Kind: token.KindJWT, Scopes: platform}), token.Demand{}, token.Verified{Kind: token.KindJWT, Principal: who, Scopes: platform, Expires: hour}},
		"signJwt":             {signed, token.Demand{Email: owner}, token.Verified{Kind: token.KindJWT, Principal: who}},
		"without kid":         {withoutKeyID(t, m), token.Demand{}, token.Verified{Kind: token.KindJWT, Principal: who, Expires: hour}},
		"clock ahead":         {m.jwt(t, map[string]any{"iat": m.now.Unix() + 300}), token.Demand{}, token.Verified{Kind: token.KindJWT, Principal: who, Expires: hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := m.Verify(t.Context(), m.world, test.text, test.demand)
			if err != nil {
				t.Fatal(err)
			}
			if isJWT := test.want.Kind != token.KindAccess && test.want.Kind != token.KindRefresh; isJWT != (got.Claims != nil) {
				t.Errorf("claims %v", got.Claims)
			}
			got.Claims = nil
			if len(got.Scopes) == 0 {
				got.Scopes = nil
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMintRefuses(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	user, _ := m.world.Principal("dev@example.com")
	worker, _ := m.world.Principal(owner)
	for _, test := range []struct {
		order token.Order
		want  string
	}{
		{token.Order{Kind: "magic"}, `unknown kind of token "magic"; use access, id, jwt, iap, firebase or firebase-session`},
		{token.Order{Kind: token.KindRefresh}, `unknown kind of token "refresh"; use access, id, jwt, iap, firebase or firebase-session`},
		{token.Order{Kind: token.KindAccess, Lifetime: 13 * time.Hour}, "lifetime 13h0m0s is not a number of seconds up to 12h"},
		{token.Order{Kind: token.KindAccess, Lifetime: time.Millisecond}, "lifetime 1ms is not a number of seconds up to 12h"},
		{token.Order{Kind: token.KindAccess, Audience: service}, "an access token has neither an audience nor claims"},
		{token.Order{Kind: token.KindID}, "an ID token needs an audience"},
		{token.Order{Kind: token.KindID, Audience: service, Scopes: []string{"email"}}, "an ID token has no scopes"},
		{token.Order{Kind: token.KindIAP}, "an assertion of Identity-Aware Proxy needs an audience, such as /projects/NUMBER/apps/PROJECT"},
		{token.Order{Kind: token.KindIAP, Audience: service, Scopes: []string{"email"}}, "an assertion of Identity-Aware Proxy has no scopes"},
		{token.Order{Kind: token.KindAccess, Defect: "rotten"}, `unknown defect "rotten"; use one of: expired, not-yet-valid, unknown-key, tampered, revoked, just-expired`},
		{token.Order{Kind: token.KindAccess, Defect: token.WrongAudience}, `a token of kind "access" cannot have defect "wrong-audience"; use one of: expired, not-yet-valid, unknown-key, tampered, revoked, just-expired`},
		{token.Order{Kind: token.KindJWT, Defect: token.MissingEmail}, `a token of kind "jwt" cannot have defect "missing-email"; use one of: expired, not-yet-valid, wrong-issuer, wrong-audience, unknown-key, tampered, unverified-email, alg-none, revoked, just-expired, copied-key-id, hmac-public-key, no-signature, embedded-key, key-url, certificate-url, critical-header, duplicate-claims, trailing-bytes, last-letter`},
		{token.Order{Kind: token.KindID, Audience: service, Principal: worker, Claims: map[string]any{"email": nil, "email_verified": nil}, Defect: token.MissingEmail}, `defect "missing-email" changes nothing, because the token has no e-mail address`},
		{token.Order{Kind: token.KindJWT, Principal: user}, `only a service account can sign a JWT, and "user:dev@example.com" is not a service account`},
	} {
		_, err := m.Mint(t.Context(), m.world, test.order)
		if refused, ok := errors.AsType[*token.OrderError](err); !ok || refused.Reason != test.want {
			t.Errorf("%+v is refused with %v, want %q", test.order, err, test.want)
		}
	}
}

// Only tokens that describe a VM always have an e-mail address.
func TestTokensWithoutEmail(t *testing.T) {
	t.Parallel()
	m := newPress(t)
	for want, google := range map[bool]any{
		true:  map[string]any{"organization_number": nil},
		false: map[string]any{"compute_engine": map[string]any{"instance_name": "vm"}},
	} {
		text := m.order(t, owner, token.Order{
			Kind: token.KindID, Audience: service, Claims: map[string]any{"google": google, "email": nil, "email_verified": nil},
		})
		if _, err := m.Verify(t.Context(), m.world, text, token.Demand{}); (err == nil) != want {
			t.Errorf("%v: %v", google, err)
		}
	}
}
