package cloudrun_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

const (
	services = "/v2/projects/demo-project/locations/us-central1/services"
	minimal  = `{"template":{"containers":[{"image":"orders"}]}}`
)

// Under --strict each method takes its permission, and a caller who creates a service may act as
// its service account.
func TestPermissions(t *testing.T) {
	t.Parallel()
	emulatortest.CheckAllowed(t, []emulatortest.Method{
		{Name: "create", Call: "POST " + services + "?serviceId=orders", Body: minimal},
		{Name: "list", Call: "GET " + services},
		{Name: "listV1", Call: "GET /v1/projects/demo-project/locations/-/services"},
		{Name: "get", Call: "GET " + services + "/orders"},
		{Name: "patch", Call: "PATCH " + services + "/orders?updateMask=labels", Body: minimal},
		{Name: "getIamPolicy", Call: "GET " + services + "/orders:getIamPolicy"},
		{Name: "setIamPolicy", Call: "POST " + services + "/orders:setIamPolicy", Body: `{"policy":{}}`},
		{Name: "operation", Call: "GET /v2/projects/demo-project/locations/us-central1/operations/x"},
		{Name: "delete", Call: "DELETE " + services + "/orders"},
	}, map[string][]string{
		"roles/viewer":                 {"list", "listV1", "get", "getIamPolicy", "operation"},
		"roles/editor":                 {"create", "list", "listV1", "get", "patch", "getIamPolicy", "operation", "delete"},
		"roles/owner":                  {"create", "list", "listV1", "get", "patch", "getIamPolicy", "setIamPolicy", "operation", "delete"},
		"roles/run.admin":              {"list", "listV1", "get", "patch", "getIamPolicy", "setIamPolicy", "operation", "delete"},
		"roles/run.developer":          {"list", "listV1", "get", "patch", "getIamPolicy", "operation", "delete"},
		"roles/run.invoker":            nil,
		"roles/iam.serviceAccountUser": nil,
	})
}

// A created service has a metadata server of its own and a door, which follows the policy that is
// set by the API, until the service is deleted.
func TestCreatedServiceIsAWorkload(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "orders: ", r.URL.Path) }))
	t.Cleanup(upstream.Close)
	e := emulatortest.New(t)
	visit := func(want int) string {
		t.Helper()
		got := e.Exchange(t, "GET /a\nHost: orders-123456789012.us-central1.run.app\n")
		if got.Status != want {
			t.Errorf("the door answers %d %q, want %d", got.Status, got.Body, want)
		}
		return got.Body
	}
	visit(http.StatusNotFound)
	operation := e.Do(t, "POST "+services+"?serviceId=orders", fmt.Sprintf(
		`{"template":{"serviceAccount":%q,"containers":[{"image":"orders"}]},"annotations":{"gcp-metadata-emulator/upstream":%q}}`, emulatortest.Worker, upstream.URL))
	if got := e.Do(t, fmt.Sprintf("GET /v2/%s", operation["name"]), ""); got["done"] != true {
		t.Errorf("the operation is %v", got)
	}
	if got := e.MustRead(t, "orders", "/computeMetadata/v1/instance/service-accounts/default/email"); got != emulatortest.Worker {
		t.Errorf("it runs as %q", got)
	}
	visit(http.StatusForbidden)
	e.Do(t, "POST "+services+"/orders:setIamPolicy", `{"policy":{"bindings":[{"role":"roles/run.invoker","members":["allUsers"]}]}}`)
	if body := visit(http.StatusOK); body != "orders: /a" {
		t.Errorf("the service answers %q", body)
	}
	e.Do(t, "PATCH "+services+"/orders?updateMask=ingress", `{"ingress":"INGRESS_TRAFFIC_INTERNAL_ONLY"}`)
	visit(http.StatusNotFound)
	e.Do(t, "DELETE "+services+"/orders", "")
	visit(http.StatusNotFound)
	if _, exists := e.World().State.Instance("orders"); exists {
		t.Error("the instance is still there")
	}
}

// A client reads what the fixture describes, and what it writes leaves the rest as it was.
func TestServiceOfTheFixture(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.Call(t, http.MethodPut, "/emulator/v1/state", `{"instances":[{"name":"orders","profile":"cloud-run","ingress":{
		"upstream":"http://127.0.0.1:9","http2":true,"authentication":"iap","requestTimeout":"10s","urls":["https://orders.example.com"],"signature":"never"}}]}`)
	e.Do(t, "PATCH "+services+"/orders?updateMask=labels,customAudiences", `{"labels":{"team":"a"},"customAudiences":["orders"]}`)
	service, _ := e.World().State.Service("orders")
	if service.Upstream.String() != "http://127.0.0.1:9" || !service.HTTP2 || service.Authentication != "iap" || service.Signature != "never" ||
		service.Timeout.String() != "10s" || service.URLs[0] != "https://orders.example.com" || service.Audiences[0] != "orders" {
		t.Errorf("the service is %+v", service)
	}
	got := e.Do(t, "GET "+services+"/orders", "")
	if labels, _ := got["labels"].(map[string]any); labels["team"] != "a" || got["generation"] != "2" || got["iapEnabled"] != true || got["invokerIamDisabled"] != true {
		t.Errorf("the client reads %v", got)
	}
	state := e.Call(t, http.MethodGet, "/emulator/v1/state", "")
	e.Call(t, http.MethodPut, "/emulator/v1/state", state)
	if after := e.Do(t, "GET "+services+"/orders", ""); after["etag"] != got["etag"] {
		t.Errorf("after the state was set to what it is: %v, before: %v", after, got)
	}
	if status := e.Invoke(t, "x", "DELETE "+services+"/orders", "", nil); status != "FAILED_PRECONDITION" {
		t.Errorf("deleting the only instance: %s", status)
	}
}
