package server_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/assertion"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

const (
	delegate   = "delegate@demo-project.iam.gserviceaccount.com"
	delegateID = "100000000000000000004"
)

// wireValues returns the values that scripts name: tokens and assertions.
func wireValues(t *testing.T, e *emulatortest.Emulator) *strings.Replacer {
	t.Helper()
	now := emulatortest.Noon()
	user := emulatortest.Must[*keys.Key](t)(e.Keys.User(emulatortest.Worker, emulatortest.WorkerID).Active(context.Background()))
	system := emulatortest.Must[*keys.Key](t)(e.Keys.System(emulatortest.Worker).Active(context.Background()))
	stranger := emulatortest.Must[*keys.Key](t)(keys.NewRing("", time.Now).User(emulatortest.Worker, emulatortest.WorkerID).Active(context.Background()))

	values := map[string]string{
		"account": emulatortest.Worker, "account:escaped": url.QueryEscape(emulatortest.Worker),
		"target": emulatortest.Target, "target:escaped": url.QueryEscape(emulatortest.Target), "target:id": emulatortest.TargetID,
		"bearer":    "ya29.anything",
		"attribute": "foo-bar", "project-attribute": "enable-oslogin",
	}
	worker := emulatortest.Account(user)
	assertions := emulatortest.Must[map[string]string](t)(worker.All(signer.RSA(stranger)))
	maps.Copy(assertions, emulatortest.Must[map[string]string](t)(worker.SignAll(furtherClaims(now.Unix()))))
	assertions["system-key"] = emulatortest.Assertion(t, system, nil)
	for name, text := range assertions {
		values["assertion:"+name] = text
	}
	delegate := emulatortest.Must[*keys.Key](t)(e.Keys.User(delegate, delegateID).Active(context.Background()))
	for name, changes := range delegationClaims() {
		values["delegation:"+name] = emulatortest.Assertion(t, delegate, changes)
	}

	maps.Copy(values, tokenValues(t, e, now))
	maps.Copy(values, userValues(t, e, now))
	maps.Copy(values, exchangeValues(t, e, now))
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "${"+name+"}", value)
	}
	return strings.NewReplacer(pairs...)
}

// furtherClaims returns changes to the claims of assertions. The changes name things that only the
// fixture has, are at the very end of a time, or are for another API.
func furtherClaims(now int64) map[string]map[string]any {
	return map[string]map[string]any{
		"aud-v4":           {"aud": []string{"https://www.googleapis.com/oauth2/v4/token"}},
		"aud-here":         {"aud": "http://emulator.test:8254/token"},
		"iss-disabled":     {"iss": "gone@demo-project.iam.gserviceaccount.com"},
		"iat-5-min-ahead":  {"iat": now + 300, "exp": now + 3900},
		"iat-far-ahead":    {"iat": now + 301, "exp": now + 3900},
		"just-expired":     {"iat": now - 3600, "exp": now},
		"expired-a-second": {"iat": now - 3600, "exp": now - 1},
		"too-long":         {"exp": now + 3901},
		"compute":          {"sub": emulatortest.Worker, "aud": "https://compute.googleapis.com/", "scope": nil},
		"compute-no-exp":   {"sub": emulatortest.Worker, "aud": "https://compute.googleapis.com/", "scope": nil, "exp": nil},
		"self-signed-go":   {"sub": emulatortest.Worker, "aud": "", "scope": emulatortest.Platform + " email"},
		"self-signed-php":  {"sub": emulatortest.Worker, "aud": nil, "scope": emulatortest.Platform + " email", "iat": now - 60},
		"sub-user":         {"sub": "dev@example.com"},
	}
}

// delegationClaims returns the changes to the claims of an account that may act for users with some
// scopes.
func delegationClaims() map[string]map[string]any {
	claims := map[string]map[string]any{
		"good":        {"sub": "dev@example.com"},
		"unique-id":   {"sub": "200000000000000000001"},
		"prn":         {"prn": "dev@example.com"},
		"prn-and-sub": {"prn": "nobody@example.com", "sub": "dev@example.com"},
		"sub-empty":   {"sub": "", "prn": "Dev@Example.com"},
		"more-scopes": {"sub": "dev@example.com", "scope": emulatortest.Drive + " " + emulatortest.Platform},
		"id-token":    {"sub": "dev@example.com", "target_audience": "https://service.example.com"},
		"no-email":    {"sub": "dev"},
		"no-user":     {"sub": "200000000000000000009"},
		"self":        {"sub": delegateID},
	}
	for _, changes := range claims {
		changes["iss"] = delegate
		if _, other := changes["scope"]; !other {
			changes["scope"] = emulatortest.Drive
		}
	}
	return claims
}

// tokenValues returns access and ID tokens, valid and expired.
func tokenValues(t *testing.T, e *emulatortest.Emulator, now time.Time) map[string]string {
	t.Helper()
	account, ok := e.World().State.Account(emulatortest.Worker)
	if !ok {
		t.Fatalf("no account %s", emulatortest.Worker)
	}
	ctx := t.Context()
	issuer := token.NewIssuer(e.Keys, func() time.Time { return now })
	earlier := token.NewIssuer(e.Keys, func() time.Time { return now.Add(-2 * time.Hour) })
	elsewhere := token.NewIssuer(keys.NewRing("", time.Now), func() time.Time { return now })
	claims := token.Claims{Audience: "https://service.example.com", AuthorizedParty: emulatortest.WorkerID, Subject: emulatortest.WorkerID, Email: emulatortest.Worker}
	id := emulatortest.Must[token.Token](t)(issuer.ID(ctx, claims)).Text
	disabled, ok := e.World().State.Account("gone@demo-project.iam.gserviceaccount.com")
	if !ok {
		t.Fatal("no disabled account")
	}
	bounded := token.ForAccount(account, []string{emulatortest.Platform})
	bounded.Boundary = json.RawMessage(`{"accessBoundaryRules":[]}`)
	return map[string]string{
		"access:disabled":   emulatortest.Must[token.Token](t)(issuer.Access(ctx, token.ForAccount(disabled, []string{emulatortest.Platform}), time.Hour)).Text,
		"access:bounded":    emulatortest.Must[token.Token](t)(issuer.Access(ctx, bounded, time.Hour)).Text,
		"access":            emulatortest.Must[token.Token](t)(issuer.Access(ctx, token.ForAccount(account, []string{emulatortest.Platform}), time.Hour)).Text,
		"access:no-compute": emulatortest.Must[token.Token](t)(issuer.Access(ctx, token.ForAccount(account, []string{"https://www.googleapis.com/auth/iam"}), time.Hour)).Text,
		"access:email":      emulatortest.Must[token.Token](t)(issuer.Access(ctx, token.ForAccount(account, []string{emulatortest.Platform, "email"}), time.Hour)).Text,
		"access:expired":    emulatortest.Must[token.Token](t)(earlier.Access(ctx, token.ForAccount(account, []string{emulatortest.Platform}), time.Hour)).Text,
		"access:elsewhere":  emulatortest.Must[token.Token](t)(elsewhere.Access(ctx, token.ForAccount(account, []string{emulatortest.Platform}), time.Hour)).Text,
		"id":                id,
		"id:tampered":       assertion.Tampered(id),
		"id:expired":        emulatortest.Must[token.Token](t)(earlier.ID(ctx, claims)).Text,
		"id:elsewhere":      emulatortest.Must[token.Token](t)(elsewhere.ID(ctx, claims)).Text,
		"zeros":             strings.Repeat("0", 1<<20+1),
		"large":             strings.Repeat("0", 256<<10+1),
	}
}

// userValues returns tokens of users and of a federated principal.
func userValues(t *testing.T, e *emulatortest.Emulator, now time.Time) map[string]string {
	t.Helper()
	dev, ok := e.World().State.User("dev@example.com")
	if !ok {
		t.Fatal("no user dev@example.com")
	}
	const (
		client  = "app.example"
		email   = "https://www.googleapis.com/auth/userinfo.email"
		profile = "https://www.googleapis.com/auth/userinfo.profile"
	)
	issuer := token.NewIssuer(e.Keys, func() time.Time { return now })
	access := func(grant token.Grant) string {
		return emulatortest.Must[token.Token](t)(issuer.Access(t.Context(), grant, time.Hour)).Text
	}
	granted := token.ForUser(dev, client, []string{emulatortest.Platform, email, "openid"})
	openid := token.Grant{Principal: dev.Principal(), Client: client, Scopes: []string{"openid"}}
	values := map[string]string{
		"refresh": emulatortest.Must[string](t)(issuer.Refresh(granted)),
		"iap": emulatortest.Must[token.Token](t)(issuer.Mint(t.Context(), e.World().State, token.Order{
			Kind: token.KindIAP, Principal: dev.Principal(), Audience: "/projects/123456789012/apps/demo-project",
		})).Text,
		"refresh:deleted":  emulatortest.Must[string](t)(issuer.Refresh(token.ForUser(&world.User{Email: "x@example.com", UniqueID: "7"}, client, nil))),
		"access:user":      access(granted),
		"access:openid":    access(openid),
		"access:profile":   access(token.ForUser(dev, client, []string{email, profile, "openid"})),
		"access:federated": access(token.Grant{Principal: iam.Principal{Kind: iam.KindFederated, ID: "x"}, Scopes: []string{emulatortest.Platform}}),
	}
	for i := range 5 {
		values["revoke:"+strconv.Itoa(i)] = emulatortest.Must[string](t)(issuer.Refresh(token.ForUser(dev, client, nil)))
	}
	return values
}

// exchangeValues returns subject tokens and issued tokens of the Security Token Service.
func exchangeValues(t *testing.T, e *emulatortest.Emulator, now time.Time) map[string]string {
	t.Helper()
	issuer := token.NewIssuer(e.Keys, func() time.Time { return now })
	user, ok := e.World().State.User("dev@example.com")
	if !ok {
		t.Fatal("no user")
	}
	workforce := token.Grant{Principal: user.Workforce(), Scopes: []string{emulatortest.Platform}, Client: "some-client", Session: "some-session"}
	const provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo-pool/providers/demo-provider"
	return map[string]string{
		"id:pool":           emulatortest.Must[token.Token](t)(issuer.ID(t.Context(), token.Claims{Audience: provider, AuthorizedParty: emulatortest.WorkerID, Subject: emulatortest.WorkerID})).Text,
		"refresh:workforce": emulatortest.Must[string](t)(issuer.Refresh(workforce)),
		"access:workforce":  emulatortest.Must[token.Token](t)(issuer.Access(t.Context(), workforce, time.Hour)).Text,
	}
}
