package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"

	"gcp-metadata-emulator/server/token"
)

// reason is why a token is refused; empty where it is good.
func (e *emulator) reason(t *testing.T, text string) string {
	t.Helper()
	_, err := e.server.Verify(t.Context(), text, token.Demand{})
	if refused, ok := errors.AsType[*token.RefusedError](err); ok {
		return refused.Reason
	}
	if err != nil {
		t.Fatal(err)
	}
	return ""
}

// A fault gives the next token of each route that mints one a defect, and none but that one.
func TestFaultsGiveTokensDefects(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	values := e.wireValues(t)
	text := regexp.MustCompile(`ya29[.\w-]+|eyJ[\w-]+[.][\w-]+[.][\w-]*`)
	iam := "POST /v1/projects/-/serviceAccounts/" + worker + ":%s\nAuthorization: Bearer ya29.x\n\n%s"
	form := "POST %s\nContent-Type: application/x-www-form-urlencoded\n\n%s"
	const assertion = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion="
	for _, test := range []struct{ route, request, defect, reason string }{
		{"mds.identity", "GET " + accounts + "default/identity?audience=https://a.example.com&format=full\nMetadata-Flavor: Google\n\n", "unverified-email", "is verified"},
		{"mds.identity", "GET " + accounts + "default/identity?audience=https://a.example.com\nMetadata-Flavor: Google\n\n", "alg-none", "is not signed"},
		{"mds.token", "GET " + accounts + "default/token\nMetadata-Flavor: Google\n\n", "revoked", "was revoked"},
		{"mds.*", "GET " + accounts + "default/token?scopes=\nMetadata-Flavor: Google\n\n", "expired", "expired at"},
		{"oauth2.token", fmt.Sprintf(form, "/token", assertion+"${assertion:good}"), "tampered", "was changed afterwards"},
		{"oauth2.token", fmt.Sprintf(form, "/token", assertion+"${assertion:id-token}"), "wrong-issuer", "the issuer is"},
		{"iamcredentials.generateAccessToken", fmt.Sprintf(iam, "generateAccessToken", `{"scope":["`+platform+`"]}`), "unknown-key", "was not issued by this emulator"},
		{"iamcredentials.*", fmt.Sprintf(iam, "generateIdToken", `{"audience":"x","includeEmail":true}`), "not-yet-valid", "not valid before"},
		{"iamcredentials.signJwt", fmt.Sprintf(iam, "signJwt", `{"payload":"{\"sub\":\"x\"}"}`), "unknown-key", "has not published a key"},
	} {
		added := e.fail(t, fmt.Sprintf(`{"route": %q, "defect": %q, "times": 1}`, test.route, test.defect))
		for _, want := range []string{test.reason, ""} {
			answer := e.exchange(t, values.Replace(test.request))
			minted := text.FindString(answer.body)
			if got := e.reason(t, minted); answer.status != 200 || minted == "" || (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s %s: %d with a token that is refused with %q, want %q", test.route, test.defect, answer.status, got, want)
			}
			if seen := e.last(t); (seen.Fault == added.ID) != (want != "") {
				t.Errorf("%s %s is written down with fault %q", test.route, test.defect, seen.Fault)
			}
		}
		e.server.Faults.Clear()
	}
}

// One token is chosen by its audience, whatever else is asked for in between.
func TestDefectForAnAudience(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	e.fail(t, `{"route": "mds.identity", "match": {"audience": "https://b.example.com"}, "defect": "expired", "times": 1}`)
	for _, test := range []struct {
		audience string
		expired  bool
	}{{"a", false}, {"b", true}, {"a", false}, {"b", false}} {
		got := e.get(t, accounts+"default/identity?audience=https://"+test.audience+".example.com")
		if reason := e.reason(t, got.body); strings.HasPrefix(reason, "the token expired") != test.expired {
			t.Errorf("audience %s: %q", test.audience, reason)
		}
	}
}

func TestDefectsInRPC(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	client := credentialspb.NewIAMCredentialsClient(e.dialGRPC(t))
	e.fail(t, `{"route": "iamcredentials.generateIdToken", "defect": "wrong-issuer"}`)
	id := must[*credentialspb.GenerateIdTokenResponse](t)(client.GenerateIdToken(callContext(t),
		&credentialspb.GenerateIdTokenRequest{Name: workerName, Audience: "x"}))
	if reason := e.reason(t, id.GetToken()); !strings.HasPrefix(reason, "the issuer is") {
		t.Errorf("refused with %q", reason)
	}
}

// The emulator's own services do not take what has been revoked.
func TestRevokedTokensAreRefused(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	account, _ := e.world.Account(worker)
	const provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo-pool/providers/demo-provider"
	for _, test := range []struct {
		order   token.Order
		request string
	}{
		{token.Order{Kind: token.KindID, Audience: "x"}, "GET /tokeninfo?id_token=%s\n\n"},
		{token.Order{Kind: token.KindAccess}, "GET /tokeninfo?access_token=%s\n\n"},
		{token.Order{Kind: token.KindJWT, Audience: "https://oauth2.googleapis.com/token", Scopes: []string{platform}}, "POST /token\nContent-Type: application/x-www-form-urlencoded\n\ngrant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=%s"},
		{token.Order{Kind: token.KindID, Audience: provider}, "POST /v1/token\nContent-Type: application/x-www-form-urlencoded\n\ngrant_type=urn:ietf:params:oauth:grant-type:token-exchange&audience=" + provider + "&scope=" + platform + "&requested_token_type=urn:ietf:params:oauth:token-type:access_token&subject_token_type=urn:ietf:params:oauth:token-type:jwt&subject_token=%s"},
	} {
		for want, defect := range map[int]token.Defect{200: token.NoDefect, 400: token.Revoked} {
			test.order.Principal, test.order.Defect = account.Principal(), defect
			minted := must[token.Token](t)(e.server.Mint(t.Context(), test.order))
			if got := e.exchange(t, fmt.Sprintf(test.request, minted.Text)); got.status != want {
				t.Errorf("%s %q: %d %s, want %d", test.order.Kind, defect, got.status, got.body, want)
			}
		}
	}
}

func TestMintAndVerify(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	account, _ := e.world.Account(worker)
	for _, defect := range []token.Defect{token.NoDefect, token.AlgNone} {
		minted, err := e.server.Mint(t.Context(), token.Order{Kind: token.KindID, Principal: account.Principal(), Audience: "x", Defect: defect})
		if reason := e.reason(t, minted.Text); err != nil || (reason == "") != (defect == token.NoDefect) {
			t.Errorf("a token with defect %q is refused with %q, %v", defect, reason, err)
		}
	}
}

// Numbers in claims are those that were ordered, to the last digit.
func TestClaimsAreExact(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	const order = `{"kind": "id", "audience": "x", "claims": {"exact": 9007199254740993, "deep": {"one": 1.10}}}`
	var minted struct {
		Token string `json:"token"`
	}
	if got := e.exchange(t, "POST /emulator/v1/tokens\n\n"+order); json.Unmarshal([]byte(got.body), &minted) != nil {
		t.Fatalf("%+v", got)
	}
	got := e.exchange(t, "POST /emulator/v1/tokens:verify\n\n"+`{"token": "`+minted.Token+`"}`)
	for _, want := range []string{`"exact": 9007199254740993`, `"one": 1.10`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("%s is not in %s", want, got.body)
		}
	}
}
