package iampools_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

const pools = "/v1/projects/demo-project/locations/global/workloadIdentityPools"

// operation is an answer of a method that changes something.
type operation struct {
	Name     string
	Done     bool
	Response struct{ Name, State string }
}

// change calls a method that changes something, and checks that its operation can be asked for.
func change(t *testing.T, e *emulatortest.Emulator, call, body string) operation {
	t.Helper()
	var made, found operation
	if status := e.Invoke(t, "x", call, body, &made); status != "OK" {
		t.Fatalf("%s: %s", call, status)
	}
	if status := e.Invoke(t, "x", "GET /v1/"+made.Name, "", &found); status != "OK" || found != made || !made.Done {
		t.Errorf("%s: operation %+v, asked for again %+v", call, made, found)
	}
	return made
}

// A pool and a provider that were made by the API exchange tokens as those of a fixture do, as long as
// both are there and enabled.
func TestMadePoolExchangesTokens(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	change(t, e, "POST "+pools+"?workloadIdentityPoolId=made-pool", "{}")
	const providers = pools + "/made-pool/providers"
	provider := change(t, e, "POST "+providers+"?workloadIdentityPoolProviderId=google",
		`{"attributeMapping": {"google.subject": "assertion.email"}, "oidc": {"issuerUri": "https://accounts.google.com", "allowedAudiences": ["me"]}}`)
	var subject struct{ Token string }
	e.CallJSON(t, http.MethodPost, "/emulator/v1/tokens", `{"kind": "id", "account": "`+emulatortest.Worker+`", "audience": "me", "claims": {"email": "someone@example.com"}}`, &subject)
	exchange := func() string {
		answer := emulatortest.Post(t.Context(), e.Server, "/v1/token", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {"//iam.googleapis.com/" + provider.Response.Name},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "subject_token": {subject.Token}, "scope": {emulatortest.Platform},
		})
		var got struct {
			Error string `json:"error"`
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || (got.Token == "") == (got.Error == "") {
			t.Fatalf("%s: %v", answer.Body, err)
		}
		return got.Error
	}
	for _, step := range []struct {
		call, body string
		want       string // the code of the error
	}{
		{"PATCH " + providers + "/google?updateMask=disabled", `{"disabled": true}`, "invalid_target"},
		{"PATCH " + providers + "/google?updateMask=disabled", `{"disabled": false}`, ""},
		{"DELETE " + providers + "/google", "", "invalid_target"},
		{"POST " + providers + "/google:undelete", "{}", ""},
		{"PATCH " + pools + "/made-pool?updateMask=disabled", `{"disabled": true}`, "invalid_target"},
		{"PATCH " + pools + "/made-pool?updateMask=disabled", `{}`, ""},
		{"DELETE " + pools + "/made-pool", "", "invalid_target"},
		{"POST " + pools + "/made-pool:undelete", "{}", ""},
		{"PATCH " + providers + "/google?updateMask=attributeCondition", `{"attributeCondition": "assertion.email == 'nobody@example.com'"}`, "unauthorized_client"},
	} {
		change(t, e, step.call, step.body)
		if got := exchange(); got != step.want {
			t.Errorf("after %s: error %q, want %q", step.call, got, step.want)
		}
	}
}

// Each method takes the permission of its own.
func TestPermissions(t *testing.T) {
	t.Parallel()
	const pool = pools + "/demo-pool"
	emulatortest.CheckAllowed(t, []emulatortest.Method{
		{Name: "list", Call: "GET " + pools},
		{Name: "get", Call: "GET " + pool},
		{Name: "create", Call: "POST " + pools + "?workloadIdentityPoolId=made-pool", Body: "{}"},
		{Name: "update", Call: "PATCH " + pool + "?updateMask=description", Body: "{}"},
		{Name: "providers.list", Call: "GET " + pool + "/providers"},
		{Name: "providers.delete", Call: "DELETE " + pool + "/providers/demo-provider"},
		{Name: "providers.undelete", Call: "POST " + pool + "/providers/demo-provider:undelete", Body: "{}"},
		{Name: "delete", Call: "DELETE " + pool},
		{Name: "undelete", Call: "POST " + pool + ":undelete", Body: "{}"},
		{Name: "roles.get", Call: "GET /v1/projects/demo-project/roles/none"},
		{Name: "roles.create", Call: "POST /v1/projects/demo-project/roles", Body: `{"roleId": "made", "role": {}}`},
		{Name: "roles.delete", Call: "DELETE /v1/projects/demo-project/roles/made"},
	}, map[string][]string{
		"roles/iam.workloadIdentityPoolAdmin": {
			"list", "get", "create", "update", "providers.list", "providers.delete", "providers.undelete", "delete", "undelete",
		},
		"roles/iam.workloadIdentityPoolViewer": {"list", "get", "providers.list"},
		"roles/viewer":                         {"list", "get", "providers.list", "roles.get"},
		"roles/editor":                         {"list", "get", "providers.list", "roles.get"},
		"roles/iam.roleViewer":                 {"roles.get"},
		"roles/iam.roleAdmin":                  {"roles.get", "roles.create", "roles.delete"},
	})
}
