package token_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/retired"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
	"gcp-metadata-emulator/signer"
)

const (
	workerEmail = "worker@demo-project.iam.gserviceaccount.com"
	host        = "iamcredentials.googleapis.com"
)

func mint(t *testing.T, issuer *token.Issuer, grant token.Grant) string {
	t.Helper()
	issued, err := issuer.Access(t.Context(), grant, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Text
}

// As with Google's tokens, the prefix shows the kind of principal.
func TestAccessPrefixes(t *testing.T) {
	t.Parallel()
	issuer, _ := newIssuer()
	kinds := []iam.Kind{iam.KindServiceAccount, iam.KindUser, iam.KindFederated}
	prefixes := []string{"ya29.c.", "ya29.a0", "ya29.d."}
	for i, kind := range kinds {
		prefix := prefixes[i]
		text := mint(t, issuer, token.Grant{Principal: iam.Principal{Kind: kind, ID: "1"}})
		access, err := issuer.Recognise(text)
		if err != nil || access.Principal.Kind != kind || !strings.HasPrefix(text, prefix) || !token.IsAccess(text) {
			t.Errorf("%s: %.10s… is recognised as %+v, %v", kind, text, access, err)
		}
		for _, other := range prefixes {
			if forged := other + text[len(prefix):]; forged != text {
				if _, err := issuer.Recognise(forged); !errors.Is(err, token.ErrUnknown) {
					t.Errorf("%s passes for %s: %v", kind, other, err)
				}
			}
		}
	}
}

func recognised(issuer *token.Issuer, text string) error {
	_, err := issuer.Recognise(text)
	return err
}

// Revoking any token of a session revokes all tokens of that session, and no others.
func TestRevoke(t *testing.T) {
	t.Parallel()
	issuer, clock := newIssuer()
	session := token.Grant{Principal: iam.Principal{Kind: iam.KindUser, ID: "1"}, Session: "s1"}
	other := session
	other.Session = "s2"
	refresh, err := issuer.Refresh(session)
	if err != nil {
		t.Fatal(err)
	}
	otherRefresh, err := issuer.Refresh(other)
	if err != nil {
		t.Fatal(err)
	}
	access, otherAccess := mint(t, issuer, session), mint(t, issuer, other)
	if known, err := issuer.RecogniseRefresh(refresh); err != nil || known.Session != "s1" {
		t.Errorf("RecogniseRefresh = %+v, %v", known, err)
	}
	if err := issuer.Revoke(t.Context(), access); err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.RecogniseRefresh(refresh); !errors.Is(err, token.ErrRevoked) {
		t.Errorf("the refresh token of a revoked session: %v", err)
	}
	if err := issuer.Revoke(t.Context(), access); !errors.Is(err, token.ErrRevoked) {
		t.Errorf("revoked again: %v", err)
	}
	if err := issuer.Revoke(t.Context(), "x"); !errors.Is(err, token.ErrUnknown) {
		t.Errorf("revoked a text that is not a token: %v", err)
	}
	if err := issuer.Revoke(t.Context(), otherRefresh); err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.Recognise(otherAccess); !errors.Is(err, token.ErrRevoked) {
		t.Errorf("the access token of a revoked session: %v", err)
	}
	third := session
	third.Session = "s3"
	thirdAccess := mint(t, issuer, third)
	if err := issuer.RevokeSession(t.Context(), "s3"); err != nil || !errors.Is(recognised(issuer, thirdAccess), token.ErrRevoked) {
		t.Error("a token of a session that was revoked by name is good")
	}
	alone := mint(t, issuer, token.ForAccount(account, nil))
	if _, err := issuer.Recognise(alone); err != nil {
		t.Error(err)
	}
	clock.advance(time.Hour)
	if err := issuer.Revoke(t.Context(), alone); !errors.Is(err, token.ErrExpired) {
		t.Errorf("revoked an expired token: %v", err)
	}
	issuer.Reset()
	if _, err := issuer.RecogniseRefresh(refresh); err != nil {
		t.Errorf("after a reset: %v", err)
	}
}

// However many tokens are revoked after it, a revoked token stays revoked. A new token is good.
func TestRevocationOutlivesTheMemoryForIt(t *testing.T) {
	t.Parallel()
	issuer, _ := newIssuer()
	const more = 1<<16 + 100
	user := token.Grant{Principal: iam.Principal{Kind: iam.KindUser, ID: "1"}}
	of := func() (refresh, access, alone string) {
		user.Session = retired.NewID()
		refresh, err := issuer.Refresh(user)
		if err != nil {
			t.Fatal(err)
		}
		return refresh, mint(t, issuer, user), mint(t, issuer, token.ForAccount(account, nil))
	}
	refresh, access, alone := of()
	for _, text := range []string{refresh, alone} {
		if err := issuer.Revoke(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	for range more {
		if err := issuer.RevokeSession(t.Context(), retired.NewID()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := issuer.RecogniseRefresh(refresh); !errors.Is(err, token.ErrRevoked) {
		t.Errorf("the refresh token: %v", err)
	}
	for name, text := range map[string]string{"an access token of the session": access, "an access token without a session": alone} {
		if err := recognised(issuer, text); !errors.Is(err, token.ErrRevoked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refresh, access, alone = of()
	if _, err := issuer.RecogniseRefresh(refresh); err != nil || recognised(issuer, access) != nil || recognised(issuer, alone) != nil {
		t.Errorf("new tokens: %v, %v, %v", err, recognised(issuer, access), recognised(issuer, alone))
	}
}

// The metadata server does not return a revoked token from the cache.
func TestRevokedTokenIsNotCached(t *testing.T) {
	t.Parallel()
	issuer, _ := newIssuer()
	first, err := issuer.CachedAccess(t.Context(), account, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := issuer.Revoke(t.Context(), first.Text); err != nil {
		t.Fatal(err)
	}
	second, err := issuer.CachedAccess(t.Context(), account, nil)
	if err != nil || second.Text == first.Text {
		t.Errorf("the same token again, %v", err)
	}
}

func TestBearerMustExist(t *testing.T) {
	t.Parallel()
	issuer, _ := newIssuer()
	w := worldtest.Parse(t, "")
	gone := worldtest.Parse(t, "serviceAccounts: [{email: "+workerEmail+", disabled: true}]\nusers: []\nworkloadIdentityPools: []")
	worker, _ := w.Account(workerEmail)
	user, _ := w.User("dev@example.com")
	for name, principal := range map[string]iam.Principal{
		"service account": worker.Principal(),
		"user":            user.Principal(),
		"federated":       {Kind: iam.KindFederated, ID: "s", Pool: w.Pools[0].Name},
	} {
		text := mint(t, issuer, token.Grant{Principal: principal})
		if _, err := issuer.Bearer(w, text, host); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := issuer.Bearer(gone, text, host); !errors.Is(err, token.ErrInactive) {
			t.Errorf("%s after it was removed: %v, want ErrInactive", name, err)
		}
	}
}

// A federated principal is valid as long as its pool is; a workforce principal, as long as its
// user is.
func TestFederatedBearerMustExist(t *testing.T) {
	t.Parallel()
	issuer, _ := newIssuer()
	w := worldtest.Parse(t, "")
	pool := *w.Pools[0]
	pool.Disabled = true
	user, _ := w.User("dev@example.com")
	nobody := (&world.User{Email: "nobody@example.com"}).Workforce()
	for name, test := range map[string]struct {
		pool      *world.Pool
		principal iam.Principal
		want      error
	}{
		"pool":              {w.Pools[0], iam.Principal{Kind: iam.KindFederated, ID: "s", Pool: pool.Name}, nil},
		"disabled pool":     {&pool, iam.Principal{Kind: iam.KindFederated, ID: "s", Pool: pool.Name}, token.ErrInactive},
		"workforce":         {w.Pools[0], user.Workforce(), nil},
		"unknown workforce": {w.Pools[0], nobody, token.ErrInactive},
	} {
		edited := *w
		edited.Pools = []*world.Pool{test.pool}
		if _, err := issuer.Bearer(&edited, mint(t, issuer, token.Grant{Principal: test.principal}), host); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	c := newClock()
	ring := worldtest.Ring(c.now)
	issuer, w := token.NewIssuer(ring, c.now), worldtest.Parse(t, "")
	worker, _ := w.Account(workerEmail)
	key, err := ring.User(worker.Email, worker.UniqueID).Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	google, err := ring.Google().Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now := c.now().Unix()
	for name, test := range map[string]struct {
		key    *keys.Key
		change map[string]any
		want   error
		scope  string
	}{
		"for the API":        {key, nil, nil, "https://www.googleapis.com/auth/cloud-platform"},
		"without a path":     {key, map[string]any{"aud": "https://" + host}, nil, "https://www.googleapis.com/auth/cloud-platform"},
		"with a scope":       {key, map[string]any{"aud": nil, "scope": "s1"}, nil, "s1"},
		"for another API":    {key, map[string]any{"aud": "https://storage.googleapis.com/"}, token.ErrUnknown, ""},
		"for a longer name":  {key, map[string]any{"aud": "https://" + host + ".example.com/"}, token.ErrUnknown, ""},
		"for nothing":        {key, map[string]any{"aud": nil}, token.ErrUnknown, ""},
		"another's key":      {google, nil, token.ErrUnknown, ""},
		"another subject":    {key, map[string]any{"sub": "dev@example.com"}, token.ErrUnknown, ""},
		"unknown account":    {key, map[string]any{"iss": "x@example.com", "sub": "x@example.com"}, token.ErrUnknown, ""},
		"expired":            {key, map[string]any{"iat": now - 3600, "exp": now}, token.ErrExpired, ""},
		"expired, elsewhere": {key, map[string]any{"iat": now - 3600, "exp": now, "aud": "https://storage.googleapis.com/"}, token.ErrUnknown, ""},
		"expired, forged":    {google, map[string]any{"iat": now - 3600, "exp": now}, token.ErrUnknown, ""},
		"too long":           {key, map[string]any{"exp": now + 3901}, token.ErrUnknown, ""},
		"PHP's times":        {key, map[string]any{"iat": now - 60}, nil, "https://www.googleapis.com/auth/cloud-platform"},
		"two hours old":      {key, map[string]any{"iat": now - 7200, "exp": now + 60}, token.ErrUnknown, ""},
		"Go's no audience":   {key, map[string]any{"aud": "", "scope": "s1"}, nil, "s1"},
		"null as audience":   {key, map[string]any{"aud": json.RawMessage("null"), "scope": "s1"}, nil, "s1"},
		"no text audience":   {key, map[string]any{"aud": 0, "scope": "s1"}, token.ErrUnknown, ""},
		"no audience at all": {key, map[string]any{"aud": "", "scope": ""}, token.ErrUnknown, ""},
		"no subject":         {key, map[string]any{"sub": ""}, token.ErrUnknown, ""},
		"scopes by any name": {key, map[string]any{"scope": "email s1 s1 https://www.googleapis.com/auth/userinfo.email"}, nil, "https://www.googleapis.com/auth/userinfo.email s1"},
		"a little early":     {key, map[string]any{"iat": now + 300, "exp": now + 600}, nil, "https://www.googleapis.com/auth/cloud-platform"},
		"too early":          {key, map[string]any{"iat": now + 301, "exp": now + 600}, token.ErrUnknown, ""},
		"scope, another API": {key, map[string]any{"aud": "https://storage.googleapis.com/", "scope": "s1"}, token.ErrUnknown, ""},
		"scope for the API":  {key, map[string]any{"scope": "s1"}, nil, "s1"},
		"audiences, a scope": {key, map[string]any{"aud": []string{"https://" + host + "/"}, "scope": "s1"}, token.ErrUnknown, ""},
		"issued long ago":    {key, map[string]any{"iat": json.Number("-1e300")}, token.ErrUnknown, ""},
		"issued at -2⁶³":     {key, map[string]any{"iat": int64(math.MinInt64)}, token.ErrUnknown, ""},
		"expires never":      {key, map[string]any{"exp": json.Number("1e300")}, token.ErrUnknown, ""},
		"expires at 2⁶³-1":   {key, map[string]any{"exp": int64(math.MaxInt64)}, token.ErrUnknown, ""},
		"both far away":      {key, map[string]any{"iat": json.Number("-1e300"), "exp": json.Number("1e300")}, token.ErrUnknown, ""},
		"without iat":        {key, map[string]any{"iat": nil}, token.ErrUnknown, ""},
		"without expiration": {key, map[string]any{"exp": nil}, token.ErrUnknown, ""},
	} {
		claims := map[string]any{"iss": workerEmail, "sub": workerEmail, "aud": "https://" + host + "/", "iat": now, "exp": now + 3600}
		for claim, value := range test.change {
			claims[claim] = value
			if value == nil {
				delete(claims, claim)
			}
		}
		text, err := signer.JWT(test.key, claims)
		if err != nil {
			t.Fatal(err)
		}
		access, err := issuer.Bearer(w, text, host)
		if !errors.Is(err, test.want) || strings.Join(access.Scopes, " ") != test.scope {
			t.Errorf("%s: %v with scopes %q, want %v", name, err, access.Scopes, test.want)
		}
	}
}

// If a JWT names a key of the account, that key must have signed it. Two emulators in one process
// share private keys, so each accepts the other's signatures; their key IDs differ.
func TestSelfSignedNamesItsKey(t *testing.T) {
	t.Parallel()
	w, now, stock := world.New(fixtures.Default()), time.Now, keys.NewStock()
	account, _ := w.Account(workerEmail)
	var texts []string
	var issuers []*token.Issuer
	for range 2 {
		issuer := token.NewIssuer(stock.NewRing(now), now)
		minted, err := issuer.Mint(t.Context(), w, token.Order{
			Kind: token.KindJWT, Principal: account.Principal(), Audience: "https://" + host,
		})
		if err != nil {
			t.Fatal(err)
		}
		issuers, texts = append(issuers, issuer), append(texts, minted.Text)
	}
	for i, issuer := range issuers {
		for j, text := range texts {
			_, err := issuer.Bearer(w, text, host)
			if i == j && err != nil || i != j && !errors.Is(err, token.ErrUnknown) {
				t.Errorf("issuer %d says of a JWT of issuer %d: %v", i, j, err)
			}
		}
	}
}
