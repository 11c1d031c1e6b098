package emulatortest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/signer"
)

// Bearers returns credentials of the strict world by name: one for each account and each user, and
// special credentials of the account caller.
func (e *Emulator) Bearers(t *testing.T) map[string]string {
	t.Helper()
	described := e.World().State
	issuer := token.NewIssuer(e.Keys, Noon)
	earlier := token.NewIssuer(e.Keys, func() time.Time { return Noon().Add(-time.Hour) })
	mint := func(issuer *token.Issuer, grant token.Grant) string {
		return Must[token.Token](t)(issuer.Access(t.Context(), grant, time.Hour)).Text
	}
	bearers := map[string]string{"unknown": "ya29.c.AAAA"}
	for _, account := range described.Accounts {
		name, _, _ := strings.Cut(account.Email, "@")
		bearers[name] = mint(issuer, token.ForAccount(account, []string{Platform}))
	}
	for _, user := range described.Users {
		name, _, _ := strings.Cut(user.Email, "@")
		bearers[name] = mint(issuer, token.Grant{Principal: user.Principal(), Scopes: []string{Platform}})
	}
	caller, _ := described.Account(Email("caller"))
	bearers["expired"] = mint(earlier, token.ForAccount(caller, []string{Platform}))
	bearers["drive"] = mint(issuer, token.ForAccount(caller, []string{Drive}))
	bearers["iam-scope"] = mint(issuer, token.ForAccount(caller, []string{"https://www.googleapis.com/auth/iam"}))
	bounded := token.ForAccount(caller, []string{Platform})
	bounded.Boundary = json.RawMessage(`{"accessBoundaryRules":[]}`)
	bearers["bounded"] = mint(issuer, bounded)
	for name, pool := range map[string]string{"federated": described.Pools[0].Name, "other-pool": "projects/1/locations/global/workloadIdentityPools/x"} {
		bearers[name] = mint(issuer, token.Grant{
			Principal: iam.Principal{Kind: iam.KindFederated, ID: "s", Pool: pool}, Scopes: []string{Platform},
		})
	}
	bearers["id"] = Must[token.Token](t)(issuer.ID(t.Context(), token.Claims{Audience: "https://iamcredentials.googleapis.com/"})).Text
	key := Must[*keys.Key](t)(e.Keys.User(caller.Email, caller.UniqueID).Active(t.Context()))
	for name, claims := range map[string]map[string]any{
		"self-signed":           {"aud": "https://iamcredentials.googleapis.com/"},
		"self-signed-elsewhere": {"aud": "https://storage.googleapis.com/"},
		"self-signed-go":        {"aud": "", "scope": Platform},
		"self-signed-php":       {"scope": Platform, "iat": Noon().Unix() - 60},
	} {
		all := map[string]any{"iss": caller.Email, "sub": caller.Email, "iat": Noon().Unix(), "exp": Noon().Unix() + 3600}
		maps.Copy(all, claims)
		bearers[name] = Must[string](t)(signer.JWT(key, all))
	}
	return bearers
}

// SetProjectRole gives a service account of the strict world a role on the project, on behalf of an
// owner, and returns the account's bearer token.
func (e *Emulator) SetProjectRole(t *testing.T, role, account string) string {
	t.Helper()
	bearers := e.Bearers(t)
	body := fmt.Sprintf(`{"policy":{"bindings":[{"role":%q,"members":["serviceAccount:%s"]},{"role":"roles/owner","members":["user:owner@example.com"]}]}}`,
		role, Email(account))
	if status := e.Invoke(t, bearers["owner"], "POST /v1/projects/demo-project:setIamPolicy", body, nil); status != "OK" {
		t.Fatalf("setIamPolicy: %s", status)
	}
	return bearers[account]
}

// Method is a call of a Google API that needs a permission.
type Method struct{ Name, Call, Body string }

// CheckAllowed checks, for each role, which methods a strict emulator allows to an account with no
// other role on the project. It calls the methods in their order.
func CheckAllowed(t *testing.T, methods []Method, allowed map[string][]string) {
	t.Helper()
	for role, want := range allowed {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			e := NewStrict(t)
			bearer := e.SetProjectRole(t, role, "far")
			var got []string
			for _, method := range methods {
				switch status := e.Invoke(t, bearer, method.Call, method.Body, nil); status {
				case "PERMISSION_DENIED":
				case "OK", "NOT_FOUND":
					got = append(got, method.Name)
				default:
					t.Errorf("%s: %s", method.Name, status)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("allowed (-want +got):\n%s", diff)
			}
		})
	}
}

// CheckRevoked checks that a request with a token of the worker succeeds, and fails after the token
// has been revoked. The request has %s in the place of the token.
func (e *Emulator) CheckRevoked(t *testing.T, order token.Order, request string) {
	t.Helper()
	account, _ := e.World().State.Account(Worker)
	for want, defect := range map[int]token.Defect{http.StatusOK: token.NoDefect, http.StatusBadRequest: token.Revoked} {
		order.Principal, order.Defect = account.Principal(), defect
		minted := Must[token.Token](t)(e.Mint(t.Context(), order))
		if got := e.Exchange(t, fmt.Sprintf(request, minted.Text)); got.Status != want {
			t.Errorf("%s %q: %d %s, want %d", order.Kind, defect, got.Status, got.Body, want)
		}
	}
}
