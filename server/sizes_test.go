package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
)

// Every surface that gives out access tokens keeps to the length that Google documents, and the
// tokens are good. Package oauth2 tests the grants of the token endpoint.
func TestAccessTokensAreNotTooLong(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	scopes := make([]string, 300)
	for i := range scopes {
		scopes[i] = fmt.Sprintf("https://www.googleapis.com/auth/rare.scope.%d", i)
	}
	list, err := json.Marshal(scopes)
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{}
	var fromVM struct {
		Token string `json:"access_token"`
	}
	e.CallJSON(t, http.MethodGet, emulatortest.AttachedPath+"default/token?scopes="+strings.Join(scopes, ","), "", &fromVM)
	given["metadata server"] = fromVM.Token
	generated := e.Do(t, "POST /v1/projects/-/serviceAccounts/"+emulatortest.Worker+":generateAccessToken", `{"scope": `+string(list)+`}`)
	given["IAM Credentials"], _ = generated["accessToken"].(string)
	ordered := e.Do(t, "POST /emulator/v1/tokens", `{"kind": "access", "scopes": `+string(list)+`}`)
	given["control plane"], _ = ordered["token"].(string)
	options, err := json.Marshal(largeBoundary())
	if err != nil {
		t.Fatal(err)
	}
	exchange, err := json.Marshal(map[string]string{
		"grant_type":           "urn:ietf:params:oauth:grant-type:token-exchange",
		"subject_token_type":   "urn:ietf:params:oauth:token-type:access_token",
		"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"subject_token":        given["control plane"], "options": string(options),
	})
	if err != nil {
		t.Fatal(err)
	}
	exchanged := e.Do(t, "POST /v1/token", string(exchange))
	given["token exchange"], _ = exchanged["access_token"].(string)
	for surface, text := range given {
		verified, err := e.Verify(t.Context(), text, token.Demand{})
		isLimited := surface == "metadata server" // to the scopes of the VM
		if err != nil || len(text) > token.MaxAccess || len(verified.Scopes) != len(scopes) && !isLimited {
			t.Errorf("%s: a token of %d bytes with %d scopes, %v", surface, len(text), len(verified.Scopes), err)
		}
		if surface == "token exchange" && verified.Boundary == nil {
			t.Errorf("%s: the token has no access boundary", surface)
		}
	}
}

// largeBoundary returns an access boundary with the ten rules that Google allows.
func largeBoundary() any {
	rules := make([]any, 10)
	for i := range rules {
		prefix := fmt.Sprintf("projects/_/buckets/bucket-%d/objects/%s", i, strings.Repeat("x", 400))
		rules[i] = map[string]any{
			"availableResource":     fmt.Sprintf("//storage.googleapis.com/projects/_/buckets/bucket-%d", i),
			"availablePermissions":  []string{"inRole:roles/storage.objectViewer"},
			"availabilityCondition": map[string]string{"expression": "resource.name.startsWith('" + prefix + "')"},
		}
	}
	return map[string]any{"accessBoundary": map[string]any{"accessBoundaryRules": rules}}
}
