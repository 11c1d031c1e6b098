package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server"
)

// setProjectRole gives a service account a role on the project, on behalf of an owner.
func (e *emulator) setProjectRole(t *testing.T, bearers map[string]string, role, account string) {
	t.Helper()
	body := fmt.Sprintf(`{"policy":{"bindings":[{"role":%q,"members":["serviceAccount:%s"]},{"role":"roles/owner","members":["user:owner@example.com"]}]}}`,
		role, email(account))
	if status := e.invoke(t, bearers["owner"], "POST /v1/projects/demo-project:setIamPolicy", body, nil); status != "OK" {
		t.Fatalf("setIamPolicy: %s", status)
	}
}

// Under --strict each method takes its permission, and what is not allowed is told apart
// from what does not exist by nobody.
func TestStrictAdministration(t *testing.T) {
	t.Parallel()
	account := func(name string) string { return accountsPath + "/" + email(name) }
	calls := []struct{ name, call, body string }{ // in an order in which none spoils another
		{"list", "GET " + accountsPath, ""},
		{"create", "POST " + accountsPath, `{"accountId":"created"}`},
		{"get", "GET " + account("target"), ""},
		{"get nobody", "GET " + account("nobody"), ""},
		{"patch", "PATCH " + account("target"), `{"serviceAccount":{},"updateMask":"displayName"}`},
		{"getIamPolicy", "POST " + account("target") + ":getIamPolicy", ""},
		{"list keys", "GET " + account("target") + "/keys", ""},
		{"create key", "POST " + account("target") + "/keys", `{"keyAlgorithm":"KEY_ALG_RSA_1024"}`},
		{"project", "GET /v1/projects/demo-project", ""},
		{"project's policy", "POST /v1/projects/demo-project:getIamPolicy", ""},
		{"instances", "GET /compute/v1/projects/demo-project/zones/us-central1-a/instances", ""},
		{"setIamPolicy", "POST " + account("target") + ":setIamPolicy", `{"policy":{}}`},
		{"disable", "POST " + account("target") + ":disable", "{}"},
		{"delete", "DELETE " + account("target"), ""},
		{"set project's policy", "POST /v1/projects/demo-project:setIamPolicy", `{"policy":{}}`},
	}
	for role, want := range map[string][]string{
		"roles/iam.serviceAccountViewer":   {"list", "get", "get nobody", "getIamPolicy", "list keys", "project's policy"},
		"roles/iam.serviceAccountKeyAdmin": {"list", "get", "get nobody", "list keys", "create key"},
		"roles/iam.serviceAccountAdmin":    {"list", "create", "get", "get nobody", "patch", "getIamPolicy", "setIamPolicy", "disable", "delete"},
		"roles/compute.viewer":             {"project", "instances"},
		"roles/iam.securityAdmin": {
			"list", "get", "get nobody", "getIamPolicy", "project", "project's policy", "setIamPolicy", "set project's policy",
		},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			e := newEmulatorWith(t, "strict.yaml", func(c *server.Config) { c.Strict = true })
			bearers := e.bearers(t)
			e.setProjectRole(t, bearers, role, "far")
			var got []string
			for _, call := range calls {
				switch status := e.invoke(t, bearers["far"], call.call, call.body, nil); status {
				case "PERMISSION_DENIED":
				case "OK", "NOT_FOUND":
					got = append(got, call.name)
				default:
					t.Errorf("%s: %s", call.name, status)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("allowed (-want +got):\n%s", diff)
			}
		})
	}
}

// Any number who change a policy at once lose no change, if they do as the API asks.
func TestPolicyConcurrency(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	policy := accountsPath + "/" + email("target")
	const writers = 8
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for {
				var read struct {
					Etag     string `json:"etag"`
					Bindings []any  `json:"bindings"`
				}
				e.invoke(t, "x", "POST "+policy+":getIamPolicy", "", &read)
				read.Bindings = append(read.Bindings, map[string]any{
					"role": fmt.Sprintf("roles/number%d", i), "members": []string{"allUsers"},
				})
				body, err := json.Marshal(map[string]any{"policy": read})
				if err != nil {
					t.Error(err)
					return
				}
				switch status := e.invoke(t, "x", "POST "+policy+":setIamPolicy", string(body), nil); status {
				case "ABORTED":
				case "OK":
					return
				default:
					t.Errorf("setIamPolicy: %s", status)
					return
				}
			}
		})
	}
	group.Wait()
	if got, _ := e.do(t, "POST "+policy+":getIamPolicy", "")["bindings"].([]any); len(got) != writers {
		t.Errorf("%d changes are left of %d: %v", len(got), writers, got)
	}
}

// Pages have every account once, also where accounts go between one page and the next.
func TestPages(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	var seen []string
	next := ""
	for pages := 0; pages == 0 || next != ""; pages++ {
		var list struct {
			Accounts      []struct{ Email string }
			NextPageToken string
		}
		e.invoke(t, "x", "GET "+accountsPath+"?pageSize=3&pageToken="+next, "", &list)
		for _, account := range list.Accounts {
			seen = append(seen, account.Email)
			e.do(t, "DELETE "+accountsPath+"/"+account.Email, "")
		}
		next = list.NextPageToken
	}
	if len(seen) != len(e.world.Accounts) || !slices.IsSorted(seen) || len(slices.Compact(seen)) != len(seen) {
		t.Errorf("of %d accounts the pages had %d: %q", len(e.world.Accounts), len(seen), seen)
	}
}
