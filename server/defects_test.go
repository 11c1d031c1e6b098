package server_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
)

// refusalOf returns the reason why a token is refused, or nothing if the token is valid.
func refusalOf(t *testing.T, e *emulatortest.Emulator, text string) string {
	t.Helper()
	_, err := e.Verify(t.Context(), text, token.Demand{})
	if refused, ok := errors.AsType[*token.RefusedError](err); ok {
		return refused.Reason
	}
	if err != nil {
		t.Fatal(err)
	}
	return ""
}

// A fault gives the next token of a route its defect, and no other token.
func TestFaultsGiveTokensDefects(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	values := wireValues(t, e)
	text := regexp.MustCompile(`ya29[.\w-]+|eyJ[\w-]+[.][\w-]+[.][\w-]*`)
	iam := "POST /v1/projects/-/serviceAccounts/" + emulatortest.Worker + ":%s\nAuthorization: Bearer ya29.x\n\n%s"
	form := "POST %s\nContent-Type: application/x-www-form-urlencoded\n\n%s"
	const assertion = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion="
	for _, test := range []struct{ route, request, defect, reason string }{
		{"mds.identity", "GET " + emulatortest.AttachedPath + "default/identity?audience=https://a.example.com&format=full\nMetadata-Flavor: Google\n\n", "unverified-email", "is verified"},
		{"mds.identity", "GET " + emulatortest.AttachedPath + "default/identity?audience=https://a.example.com\nMetadata-Flavor: Google\n\n", "alg-none", "is not signed"},
		{"mds.token", "GET " + emulatortest.AttachedPath + "default/token\nMetadata-Flavor: Google\n\n", "revoked", "was revoked"},
		{"mds.*", "GET " + emulatortest.AttachedPath + "default/token?scopes=\nMetadata-Flavor: Google\n\n", "expired", "expired at"},
		{"oauth2.token", fmt.Sprintf(form, "/token", assertion+"${assertion:good}"), "tampered", "was changed afterwards"},
		{"oauth2.token", fmt.Sprintf(form, "/token", assertion+"${assertion:id-token}"), "wrong-issuer", "the issuer is"},
		{"iamcredentials.generateAccessToken", fmt.Sprintf(iam, "generateAccessToken", `{"scope":["`+emulatortest.Platform+`"]}`), "unknown-key", "was not issued by this emulator"},
		{"iamcredentials.*", fmt.Sprintf(iam, "generateIdToken", `{"audience":"x","includeEmail":true}`), "not-yet-valid", "not valid before"},
		{"iamcredentials.signJwt", fmt.Sprintf(iam, "signJwt", `{"payload":"{\"sub\":\"x\"}"}`), "unknown-key", "has not published a key"},
	} {
		added := e.Fail(t, fmt.Sprintf(`{"route": %q, "defect": %q, "times": 1}`, test.route, test.defect))
		for _, want := range []string{test.reason, ""} {
			answer := e.Exchange(t, values.Replace(test.request))
			minted := text.FindString(answer.Body)
			if got := refusalOf(t, e, minted); answer.Status != 200 || minted == "" || (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s %s: status %d with a token that is refused with %q, want %q", test.route, test.defect, answer.Status, got, want)
			}
			if seen := e.Last(t); (seen.Fault == added.ID) != (want != "") {
				t.Errorf("%s %s: the journal has fault %q", test.route, test.defect, seen.Fault)
			}
		}
		e.Faults.Clear()
	}
}

// A fault for an audience strikes only the token with this audience, among requests for others.
func TestDefectForAnAudience(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.Fail(t, `{"route": "mds.identity", "match": {"audience": "https://b.example.com"}, "defect": "expired", "times": 1}`)
	for _, test := range []struct {
		audience string
		expired  bool
	}{{"a", false}, {"b", true}, {"a", false}, {"b", false}} {
		got := e.Get(t, emulatortest.AttachedPath+"default/identity?audience=https://"+test.audience+".example.com")
		if reason := refusalOf(t, e, got.Body); strings.HasPrefix(reason, "the token expired") != test.expired {
			t.Errorf("audience %s: the token is refused with %q", test.audience, reason)
		}
	}
}

func TestDefectsInRPC(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	client := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t))
	e.Fail(t, `{"route": "iamcredentials.generateIdToken", "defect": "wrong-issuer"}`)
	id := emulatortest.Must[*credentialspb.GenerateIdTokenResponse](t)(client.GenerateIdToken(emulatortest.CallContext(t),
		&credentialspb.GenerateIdTokenRequest{Name: "projects/-/serviceAccounts/" + emulatortest.Worker, Audience: "x"}))
	if reason := refusalOf(t, e, id.GetToken()); !strings.HasPrefix(reason, "the issuer is") {
		t.Errorf("refused with %q", reason)
	}
}

func TestMintAndVerify(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	account, _ := e.World().State.Account(emulatortest.Worker)
	for _, defect := range []token.Defect{token.NoDefect, token.AlgNone} {
		minted, err := e.Mint(t.Context(), token.Order{Kind: token.KindID, Principal: account.Principal(), Audience: "x", Defect: defect})
		if reason := refusalOf(t, e, minted.Text); err != nil || (reason == "") != (defect == token.NoDefect) {
			t.Errorf("a token with defect %q is refused with %q, %v", defect, reason, err)
		}
	}
}
