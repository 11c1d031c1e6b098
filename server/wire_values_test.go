package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

const (
	worker   = "worker@demo-project.iam.gserviceaccount.com"
	workerID = "100000000000000000002"
	platform = "https://www.googleapis.com/auth/cloud-platform"

	delegate   = "delegate@demo-project.iam.gserviceaccount.com"
	delegateID = "100000000000000000004"
	drive      = "https://www.googleapis.com/auth/drive"
)

// wireValues are the values that scripts name: tokens and assertions.
func (e *emulator) wireValues(t *testing.T) *strings.Replacer {
	t.Helper()
	now, _ := time.Parse(time.RFC3339, wireNow)
	user := must[*keys.Key](t)(e.ring.User(worker, workerID).Active(context.Background()))
	system := must[*keys.Key](t)(e.ring.System(worker).Active(context.Background()))
	stranger := must[*keys.Key](t)(keys.NewRing("", time.Now).User(worker, workerID).Active(context.Background()))

	values := map[string]string{}
	for name, changes := range assertionClaims(now.Unix()) {
		values["assertion:"+name] = assertion(t, user, now.Unix(), changes)
	}
	delegate := must[*keys.Key](t)(e.ring.User(delegate, delegateID).Active(context.Background()))
	for name, changes := range delegationClaims() {
		values["delegation:"+name] = assertion(t, delegate, now.Unix(), changes)
	}
	values["assertion:system-key"] = assertion(t, system, now.Unix(), nil)
	values["assertion:other-key"] = assertion(t, stranger, now.Unix(), nil)
	good := values["assertion:good"]
	values["assertion:two-parts"] = good[:strings.LastIndex(good, ".")]
	values["assertion:four-parts"] = good + ".AA"
	values["assertion:no-json"] = "aGVsbG8." + good[strings.Index(good, ".")+1:]
	values["assertion:tampered"] = tampered(good)
	for _, algorithm := range []string{"none", "HS256"} {
		values["assertion:alg-"+algorithm] = withHeader(good, `{"alg":"`+algorithm+`","typ":"JWT"}`)
	}
	values["assertion:alg-absent"] = withHeader(good, `{"typ":"JWT"}`)

	maps.Copy(values, e.tokenValues(t, now))
	maps.Copy(values, e.userValues(t, now))
	maps.Copy(values, e.exchangeValues(t, now))
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "${"+name+"}", value)
	}
	return strings.NewReplacer(pairs...)
}

// assertionClaims are what the claims of an assertion change of the good one. Nil takes
// a claim away.
func assertionClaims(now int64) map[string]map[string]any {
	return map[string]map[string]any{
		"good":              {},
		"id-token":          {"target_audience": "https://service.example.com", "scope": ""},
		"unique-id":         {"iss": workerID},
		"aud-list":          {"aud": []string{"https://www.googleapis.com/oauth2/v4/token"}},
		"aud-here":          {"aud": "http://emulator.test:8254/token"},
		"aud-absent":        {"aud": nil},
		"aud-wrong":         {"aud": "https://example.com/token"},
		"iss-unknown":       {"iss": "nobody@demo-project.iam.gserviceaccount.com"},
		"iss-absent":        {"iss": nil},
		"iss-disabled":      {"iss": "gone@demo-project.iam.gserviceaccount.com"},
		"iat-absent":        {"iat": nil},
		"exp-absent":        {"exp": nil},
		"iat-text":          {"iat": "soon"},
		"digits":            {"iat": strconv.FormatInt(now, 10), "exp": strconv.FormatInt(now+3600, 10)},
		"iat-ahead":         {"iat": now + 300, "exp": now + 3900},
		"iat-far-ahead":     {"iat": now + 301, "exp": now + 3900},
		"just-expired":      {"iat": now - 3600, "exp": now},
		"expired-a-second":  {"iat": now - 3600, "exp": now - 1},
		"sub-number":        {"sub": 123},
		"legacy-scopes":     {"scope": "https://spreadsheets.google.com/feeds https://www.googleapis.com/auth/drive"},
		"expired":           {"iat": now - 7200, "exp": now - 3600},
		"too-long":          {"exp": now + 3601},
		"backwards":         {"iat": now, "exp": now - 1},
		"huge":              {"iat": now, "exp": json.Number("1e300")},
		"scope-absent":      {"scope": nil},
		"scope-unknown":     {"scope": "https://my-service.example.com"},
		"scope-some":        {"scope": platform + " not-a-scope"},
		"sub-self":          {"sub": worker},
		"compute":           {"sub": worker, "aud": "https://compute.googleapis.com/", "scope": nil},
		"compute-no-exp":    {"sub": worker, "aud": "https://compute.googleapis.com/", "scope": nil, "exp": nil},
		"sub-null":          {"sub": json.RawMessage("null")},
		"sub-user":          {"sub": "dev@example.com"},
		"sub-unknown":       {"sub": "nobody@example.com"},
		"several-scopes":    {"scope": platform + " openid"},
		"wrong-and-expired": {"aud": "x", "exp": now - 3600, "iat": now - 7200},
	}
}

// delegationClaims are those of an account that may act for users with some scopes.
func delegationClaims() map[string]map[string]any {
	claims := map[string]map[string]any{
		"good":        {"sub": "dev@example.com"},
		"unique-id":   {"sub": "200000000000000000001"},
		"prn":         {"prn": "dev@example.com"},
		"prn-and-sub": {"prn": "nobody@example.com", "sub": "dev@example.com"},
		"sub-empty":   {"sub": "", "prn": "Dev@Example.com"},
		"more-scopes": {"sub": "dev@example.com", "scope": drive + " " + platform},
		"id-token":    {"sub": "dev@example.com", "target_audience": "https://service.example.com"},
		"no-email":    {"sub": "dev"},
		"no-user":     {"sub": "200000000000000000009"},
		"self":        {"sub": delegateID},
	}
	for _, changes := range claims {
		changes["iss"] = delegate
		if _, other := changes["scope"]; !other {
			changes["scope"] = drive
		}
	}
	return claims
}

func assertion(t *testing.T, key *keys.Key, now int64, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": worker, "scope": platform, "aud": "https://oauth2.googleapis.com/token", "iat": now, "exp": now + 3600,
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return must[string](t)(signer.JWT(key, claims))
}

// tokenValues are access and ID tokens, good and expired.
func (e *emulator) tokenValues(t *testing.T, now time.Time) map[string]string {
	t.Helper()
	account, ok := e.world.Account(worker)
	if !ok {
		t.Fatalf("no account %s", worker)
	}
	ctx := t.Context()
	issuer := token.NewIssuer(e.ring, func() time.Time { return now })
	earlier := token.NewIssuer(e.ring, func() time.Time { return now.Add(-2 * time.Hour) })
	elsewhere := token.NewIssuer(keys.NewRing("", time.Now), func() time.Time { return now })
	claims := token.Claims{Audience: "https://service.example.com", AuthorizedParty: workerID, Subject: workerID, Email: worker}
	id := must[token.Token](t)(issuer.ID(ctx, claims)).Text
	disabled, ok := e.world.Account("gone@demo-project.iam.gserviceaccount.com")
	if !ok {
		t.Fatal("no disabled account")
	}
	bounded := token.ForAccount(account, []string{platform})
	bounded.Boundary = json.RawMessage(`{"accessBoundaryRules":[]}`)
	return map[string]string{
		"access:disabled":   must[token.Token](t)(issuer.Access(ctx, token.ForAccount(disabled, []string{platform}), time.Hour)).Text,
		"access:bounded":    must[token.Token](t)(issuer.Access(ctx, bounded, time.Hour)).Text,
		"access":            must[token.Token](t)(issuer.Access(ctx, token.ForAccount(account, []string{platform}), time.Hour)).Text,
		"access:no-compute": must[token.Token](t)(issuer.Access(ctx, token.ForAccount(account, []string{"https://www.googleapis.com/auth/iam"}), time.Hour)).Text,
		"access:email":      must[token.Token](t)(issuer.Access(ctx, token.ForAccount(account, []string{platform, "email"}), time.Hour)).Text,
		"access:expired":    must[token.Token](t)(earlier.Access(ctx, token.ForAccount(account, []string{platform}), time.Hour)).Text,
		"access:elsewhere":  must[token.Token](t)(elsewhere.Access(ctx, token.ForAccount(account, []string{platform}), time.Hour)).Text,
		"id":                id,
		"id:tampered":       tampered(id),
		"id:expired":        must[token.Token](t)(earlier.ID(ctx, claims)).Text,
		"id:elsewhere":      must[token.Token](t)(elsewhere.ID(ctx, claims)).Text,
		"zeros":             strings.Repeat("0", 1<<20+1),
		"large":             strings.Repeat("0", 256<<10+1),
	}
}

// userValues are tokens of users and of a federated principal.
func (e *emulator) userValues(t *testing.T, now time.Time) map[string]string {
	t.Helper()
	dev, ok := e.world.User("dev@example.com")
	if !ok {
		t.Fatal("no user dev@example.com")
	}
	const (
		client  = "app.example"
		email   = "https://www.googleapis.com/auth/userinfo.email"
		profile = "https://www.googleapis.com/auth/userinfo.profile"
	)
	issuer := token.NewIssuer(e.ring, func() time.Time { return now })
	access := func(grant token.Grant) string {
		return must[token.Token](t)(issuer.Access(t.Context(), grant, time.Hour)).Text
	}
	granted := token.ForUser(dev, client, []string{platform, email, "openid"})
	openid := token.Grant{Principal: dev.Principal(), Client: client, Scopes: []string{"openid"}}
	values := map[string]string{
		"refresh": must[string](t)(issuer.Refresh(granted)),
		"iap": must[token.Token](t)(issuer.Mint(t.Context(), e.world, token.Order{
			Kind: token.KindIAP, Principal: dev.Principal(), Audience: "/projects/123456789012/apps/demo-project",
		})).Text,
		"refresh:deleted":  must[string](t)(issuer.Refresh(token.ForUser(&world.User{Email: "x@example.com", UniqueID: "7"}, client, nil))),
		"access:user":      access(granted),
		"access:openid":    access(openid),
		"access:profile":   access(token.ForUser(dev, client, []string{email, profile, "openid"})),
		"access:federated": access(token.Grant{Principal: iam.Principal{Kind: iam.KindFederated, ID: "x"}, Scopes: []string{platform}}),
	}
	for i := range 5 {
		values["revoke:"+strconv.Itoa(i)] = must[string](t)(issuer.Refresh(token.ForUser(dev, client, nil)))
	}
	return values
}

// exchangeValues are what the Security Token Service takes and gives.
func (e *emulator) exchangeValues(t *testing.T, now time.Time) map[string]string {
	t.Helper()
	issuer := token.NewIssuer(e.ring, func() time.Time { return now })
	user, ok := e.world.User("dev@example.com")
	if !ok {
		t.Fatal("no user")
	}
	workforce := token.Grant{Principal: user.Workforce(), Scopes: []string{platform}, Client: "some-client", Session: "some-session"}
	const provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo-pool/providers/demo-provider"
	return map[string]string{
		"id:pool":           must[token.Token](t)(issuer.ID(t.Context(), token.Claims{Audience: provider, AuthorizedParty: workerID, Subject: workerID})).Text,
		"refresh:workforce": must[string](t)(issuer.Refresh(workforce)),
		"access:workforce":  must[token.Token](t)(issuer.Access(t.Context(), workforce, time.Hour)).Text,
	}
}

// tampered changes one byte in the middle of a token's claims.
func tampered(jwt string) string {
	middle := []byte(jwt)
	i := strings.Index(jwt, ".") + 10
	middle[i] ^= 1
	return string(middle)
}

func withHeader(jwt, header string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + jwt[strings.Index(jwt, "."):]
}

// must is the result of a call that has to succeed.
func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
