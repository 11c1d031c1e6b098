package purpose_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/purpose"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
	"gcp-metadata-emulator/signer"
)

// verdict is an answer of tokens:verify.
type verdict struct {
	purpose.Decision

	Purposes []purpose.Decision `json:"purposes"`
}

func verify(t *testing.T, e *emulatortest.Emulator, question map[string]string) verdict {
	t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	answer := e.Exchange(t, "POST /emulator/v1/tokens:verify\n\n"+string(body))
	var got verdict
	if err := json.Unmarshal([]byte(answer.Body), &got); err != nil || answer.Status != http.StatusOK {
		t.Fatalf("verify %v: %+v, %v", question, answer, err)
	}
	return got
}

// The decision for an API is the decision of the API: a request with this token gets 401, or 403
// because of its scopes, with the same reason in the journal.
func TestDecisionsOfAPIs(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewOf(t, emulatortest.StrictFixture(t), func(config *server.Config) { config.IAM = guard.Enforce })
	taken, refused := 0, 0
	for host, path := range map[string]string{
		"iamcredentials.googleapis.com":       "/v1/projects/-/serviceAccounts/none@demo-project.iam.gserviceaccount.com/allowedLocations",
		"iam.googleapis.com":                  "/v1/projects/demo-project/serviceAccounts",
		"cloudresourcemanager.googleapis.com": "/v1/projects/demo-project",
		"run.googleapis.com":                  "/v2/projects/demo-project/locations/us-central1/services",
		"compute.googleapis.com":              "/compute/v1/projects/demo-project/zones/us-central1-a/instances",
	} {
		for name, text := range e.Bearers(t) {
			method := "GET "
			if host == "iamcredentials.googleapis.com" {
				method, path = "POST ", "/v1/projects/-/serviceAccounts/none@demo-project.iam.gserviceaccount.com:generateAccessToken"
			}
			answer := e.Exchange(t, method+path+"\nHost: "+host+"\nAuthorization: Bearer "+text+"\n\n")
			isRefused := answer.Status == http.StatusUnauthorized || strings.Contains(answer.Body, "SCOPE_INSUFFICIENT")
			got := verify(t, e, map[string]string{"token": text, "for": "api=" + host})
			if got.Valid == isRefused {
				t.Errorf("%s for %s: %+v, and the API answers %d", name, host, got.Decision, answer.Status)
			}
			if !isRefused {
				taken++
				continue
			}
			refused++
			if noted := e.Last(t); noted.Reason != got.Reason || noted.Hint != got.Hint {
				t.Errorf("%s for %s: %+v, and the journal has %+v", name, host, got.Decision, noted)
			}
		}
	}
	if taken == 0 || refused == 0 {
		t.Errorf("%d tokens were taken and %d refused", taken, refused)
	}
}

const worldOfServices = "ingress.yaml"

const login = "login@demo-project.iam.gserviceaccount.com"

func newServices(t *testing.T) *emulatortest.Emulator {
	t.Helper()
	return emulatortest.NewOf(t, fixtures.Files{Fixture: worldtest.Testdata(t, worldOfServices)}, func(*server.Config) {})
}

// minter mints tokens: an emulator, or an issuer with other keys or another time.
type minter interface {
	Mint(ctx context.Context, order token.Order) (token.Token, error)
}

// elsewhere is another issuer.
type elsewhere struct {
	*token.Issuer

	world *world.World
}

func (e elsewhere) Mint(ctx context.Context, order token.Order) (token.Token, error) {
	return e.Issuer.Mint(ctx, e.world, order)
}

// mint returns a token of the account login.
func mint(t *testing.T, by minter, e *emulatortest.Emulator, order token.Order) string {
	t.Helper()
	order.Principal, _ = e.World().State.Principal(login)
	return emulatortest.Must[token.Token](t)(by.Mint(t.Context(), order)).Text
}

// A token is good for some purposes and not for others, and each refusal has a reason.
func TestPurposes(t *testing.T) {
	t.Parallel()
	e := newServices(t)
	const orders, client = "https://user-profiles-123456789012.europe-west1.run.app", "123-mine.apps.googleusercontent.com"
	for name, test := range map[string]struct {
		order token.Order
		want  []string // besides the services that take everybody
	}{
		"ID token for a service": {token.Order{Kind: token.KindID, Audience: orders}, []string{"oidc", "run=user-profiles"}},
		"ID token for the proxy": {token.Order{Kind: token.KindID, Audience: client}, []string{"oidc", "iap", "run=console"}},
		"ID token for nobody":    {token.Order{Kind: token.KindID, Audience: "x"}, []string{"oidc"}},
		"expired":                {token.Order{Kind: token.KindID, Audience: orders, Defect: token.Expired}, nil},
		"revoked":                {token.Order{Kind: token.KindID, Audience: orders, Defect: token.Revoked}, []string{"oidc"}},
		"assertion":              {token.Order{Kind: token.KindIAP, Audience: "x"}, []string{"iap"}},
		"expired assertion":      {token.Order{Kind: token.KindIAP, Audience: "x", Defect: token.Expired}, nil},
		"self-signed for an API": {token.Order{Kind: token.KindJWT, Audience: "https://iam.googleapis.com/"}, []string{"api=iam.googleapis.com"}},
		"self-signed, too long":  {token.Order{Kind: token.KindJWT, Audience: "https://iam.googleapis.com/", Lifetime: 12 * time.Hour}, nil},
		"access token with a narrow scope": {
			token.Order{Kind: token.KindAccess, Scopes: []string{"https://www.googleapis.com/auth/compute"}},
			[]string{"iap", "run=console", "api=compute.googleapis.com"},
		},
	} {
		var got []string
		for _, decided := range verify(t, e, map[string]string{"token": mint(t, e, e, test.order)}).Purposes {
			isOpen := slices.Contains([]string{"run=public", "run=open", "run=inside", "run=lobby", "run=anybody"}, decided.For)
			if decided.Valid && !isOpen {
				got = append(got, decided.For)
			}
			if decided.Valid != (decided.Reason == "") {
				t.Errorf("%s: %+v", name, decided)
			}
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: good for %q, want %q", name, got, test.want)
		}
	}
}

// A refusal names its likely cause.
func TestCauses(t *testing.T) {
	t.Parallel()
	e := newServices(t)
	foreign := elsewhere{token.NewIssuer(keys.NewRing("", emulatortest.Noon), emulatortest.Noon), e.World().State}
	ahead := elsewhere{token.NewIssuer(e.Keys, func() time.Time { return emulatortest.Noon().Add(10 * time.Minute) }), e.World().State}
	id := func(audience string) token.Order { return token.Order{Kind: token.KindID, Audience: audience} }
	const service = "https://service.example.com:8443/path"
	differ := func(by string) string { return "differ only by " + by }
	good := mint(t, e, e, id(service))
	parts := strings.Split(good, ".")
	for name, test := range map[string]struct {
		text, audience string
		reason, cause  string // parts of them
	}{
		"another emulator": {mint(t, foreign, e, id(service)), service, "has not published a key", "another emulator has signed the token, or this one with another state directory"},
		"real Google": {
			mint(t, foreign, e, token.Order{Kind: token.KindID, Audience: service, Claims: map[string]any{"sub": "115", "email": "x@gmail.com"}}),
			service, "has not published a key", "real Google has signed the token",
		},
		"copied key ID":  {mint(t, e, e, token.Order{Kind: token.KindID, Audience: service, Defect: token.CopiedKeyID}), service, "does not match", "another key with the same key ID"},
		"tampered":       {mint(t, e, e, token.Order{Kind: token.KindID, Audience: service, Defect: token.Tampered}), service, "does not match", "somebody has changed the header or the claims"},
		"clock ahead":    {mint(t, ahead, e, id(service)), service, "is not valid before", "is ahead of the emulator's, which reads 2026-11-21T12:00:00Z"},
		"slash":          {good, service + "/", "is for", differ("the slash at the end")},
		"case":           {good, "https://Service.example.com:8443/path", "is for", differ("upper and lower case")},
		"scheme":         {good, "http://service.example.com:8443/path", "is for", differ("the scheme")},
		"port":           {good, "https://service.example.com/path", "is for", differ("the port")},
		"path":           {good, "https://service.example.com:8443/", "is for", differ("the path")},
		"query":          {good, service + "?a=b", "is for", differ("the query")},
		"something else": {good, "https://other.example.com", "is for", ""},
		"two parts":      {parts[0] + "." + parts[1], service, "its signature is missing", ""},
		"signature removed": {
			parts[0] + "." + parts[1] + ".SIGNATURE_REMOVED_BY_GOOGLE", service, "was removed by Google's front end", "",
		},
	} {
		got := verify(t, e, map[string]string{"token": test.text, "for": "oidc", "audience": test.audience})
		if got.Valid || !strings.Contains(got.Reason, test.reason) || !strings.Contains(got.Cause, test.cause) || (test.cause == "") != (got.Cause == "") {
			t.Errorf("%s: %+v", name, got.Decision)
		}
	}
}

// The time at which a token is valid by another clock is named.
func TestCauseOfClock(t *testing.T) {
	t.Parallel()
	e := newServices(t)
	_, machine := e.Clock.Both()
	now := elsewhere{token.NewIssuer(e.Keys, func() time.Time { return machine }), e.World().State}
	text := mint(t, now, e, token.Order{Kind: token.KindID, Audience: "x"})
	got := verify(t, e, map[string]string{"token": text})
	if got.Valid || !strings.HasPrefix(got.Cause, "the emulator's clock reads 2026-11-21T12:00:00Z, and the machine's ") {
		t.Errorf("%+v", got.Decision)
	}
}

// A verifier that has only the published keys takes what the emulator itself refuses, and is told so.
func TestOpenIDKnowsNoAccounts(t *testing.T) {
	t.Parallel()
	e := newServices(t)
	key := emulatortest.Must[*keys.Key](t)(e.Keys.Google().Active(t.Context()))
	claims := map[string]any{
		"iss": token.IssuerURL, "aud": "x", "sub": "no such account", "iat": emulatortest.Noon().Unix(), "exp": emulatortest.Noon().Unix() + 60,
	}
	text := emulatortest.Must[string](t)(signer.JWT(key, claims))
	got := verify(t, e, map[string]string{"token": text, "for": "oidc", "audience": "x"})
	if !got.Valid || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "no account or user has that ID") {
		t.Errorf("%+v", got.Decision)
	}
	for what, change := range map[string]map[string]any{
		"another issuer": {"iss": "accounts.google.com"}, "without expiry": {"exp": nil}, "without issue": {"iat": "now"},
		"a list of others": {"aud": []string{"a", "b"}}, "no audience": {"aud": nil},
	} {
		changed := maps.Clone(claims)
		maps.Copy(changed, change)
		text := emulatortest.Must[string](t)(signer.JWT(key, changed))
		if got := verify(t, e, map[string]string{"token": text, "for": "oidc", "audience": "x"}); got.Valid {
			t.Errorf("%s: %+v", what, got.Decision)
		}
	}
}
