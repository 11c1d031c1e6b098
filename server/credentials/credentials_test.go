package credentials_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/credentials"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/world/worldtest"
)

// file returns the credential file as text, or the error.
func file(t *testing.T, fixture string, asked credentials.Request) (text, refusal string) {
	t.Helper()
	ring := worldtest.Ring(time.Now)
	asked.URL = "http://127.0.0.1:1"
	made, err := credentials.New(ring, token.NewIssuer(ring, time.Now)).File(t.Context(), worldtest.Parse(t, fixture), asked)
	if missing, ok := errors.AsType[*credentials.NotFoundError](err); ok {
		return "", missing.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), ""
}

func TestFilesFitTheWorld(t *testing.T) {
	t.Parallel()
	const pools = "workloadIdentityPools:\n" +
		"  - {id: shut, disabled: true, providers: [{id: mine, issuer: \"https://accounts.google.com\"}]}\n" +
		"  - {id: pool, providers: [{id: theirs, issuer: \"https://example.com\"}, {id: mine, issuer: \"https://accounts.google.com\", allowedAudiences: [one, two]}]}\n"
	for name, test := range map[string]struct{ fixture, kind, want string }{
		"the pool that can be used":   {pools, credentials.ExternalAccount, "/workloadIdentityPools/pool/providers/mine"},
		"an audience that is allowed": {pools, credentials.ExternalAccount, "audience=one"},
		"a client of the fixture":     {"oauthClients: [{id: mine, secret: hush}]", credentials.AuthorizedUser, `"client_id":"mine","client_secret":"hush"`},
		"a client without a secret":   {"oauthClients: [{id: mine}]", credentials.ExternalAccountAuthorizedUser, `"client_id":"mine","client_secret":"none"`},
		"the universe":                {"universeDomain: example.com", credentials.ServiceAccount, `"universe_domain":"example.com"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, refusal := file(t, test.fixture, credentials.Request{Type: test.kind})
			if !strings.Contains(text, test.want) {
				t.Errorf("the file is %s%s, want %s in it", text, refusal, test.want)
			}
		})
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	bare := "instances: [{name: vm, serviceAccounts: []}]"
	for name, test := range map[string]struct {
		fixture string
		asked   credentials.Request
		want    string
	}{
		"type":               {"", credentials.Request{Type: "x"}, `unknown type of credentials "x"; use one of: ` + strings.Join(credentials.Types(), ", ")},
		"attached account":   {bare, credentials.Request{Type: credentials.ServiceAccount}, `the default instance has no service account; name one with "account"`},
		"subject":            {bare, credentials.Request{Type: credentials.ExternalAccount}, "the default instance has no service account whose ID tokens could be exchanged; add one to the fixture"},
		"account to be":      {"", credentials.Request{Type: credentials.ExternalAccount, Account: "x@y.z"}, `there is no service account "x@y.z"`},
		"account to imitate": {"", credentials.Request{Type: credentials.ImpersonatedServiceAccount, Account: "x@y.z"}, `there is no service account "x@y.z"`},
		"users":              {"users: []\npolicies: []", credentials.Request{Type: credentials.AuthorizedUser}, "there is no user; add one to the fixture"},
		"user":               {"", credentials.Request{Type: credentials.ExternalAccountAuthorizedUser, Account: "x@y.z"}, `there is no user "x@y.z"`},
		"pool": {
			"workloadIdentityPools: [{id: pool, providers: [{id: prov, issuer: \"https://example.com\"}]}]",
			credentials.Request{Type: credentials.ExternalAccount},
			"no workload identity pool trusts the emulator's own ID tokens; add one to the fixture with a provider whose issuer is https://accounts.google.com and that has no jwksFile",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, refusal := file(t, test.fixture, test.asked); refusal != test.want {
				t.Errorf("refused with %q, want %q", refusal, test.want)
			}
		})
	}
}
