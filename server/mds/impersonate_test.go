package mds_test

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/world"
)

// cluster is a cluster in which every caller is the pod with this name. If it is empty, news of the pod
// never come.
type cluster string

func (c cluster) At(ctx context.Context, address netip.Addr) (string, *journal.Refusal) {
	if c == "" {
		<-ctx.Done()
		return "", &journal.Refusal{Code: reason.UnknownCaller, Reason: "no pod has the address " + address.String(), Hint: "wait"}
	}
	return string(c), nil
}

// inCluster starts an emulator for a cluster with a single pod. The pod's account may have an
// annotation.
func inCluster(t *testing.T, pod cluster, annotation, members string, mode guard.Mode) *emulatortest.Emulator {
	t.Helper()
	text := `
project: {id: demo-project, number: 123456789012}
serviceAccounts: [{email: worker@demo-project.iam.gserviceaccount.com}]
policies:
  - resource: serviceAccounts/worker@demo-project.iam.gserviceaccount.com
    bindings: [{role: roles/iam.workloadIdentityUser, members: [` + members + `]}]
`
	pods := &world.Pods{}
	pods.Annotate("web/front", annotation)
	if pod != "" {
		pods.Put(world.Pod{Name: string(pod), Node: "node-1", Account: "web/front", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	}
	return emulatortest.NewOf(t, fixtures.Files{Fixture: "world.yaml", Text: []byte(text)}, func(config *server.Config) {
		config.Pods, config.Workloads.Pods, config.IAM = pods, pod, mode
	})
}

// A pod gets tokens for the account of its annotation if its Kubernetes service account may have them.
// Only a strict emulator refuses the others.
func TestImpersonationByPods(t *testing.T) {
	t.Parallel()
	const (
		bound = `"serviceAccount:demo-project.svc.id.goog[web/front]"`
		other = `"serviceAccount:demo-project.svc.id.goog[web/back]"`
		text  = `Unable to generate access token; IAM returned 403 Forbidden: Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).
This error could be caused by a missing IAM policy binding on the target IAM service account.
For more information, refer to the Workload Identity documentation:
	https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity#authenticating_to

`
		why  = `"serviceAccount:demo-project.svc.id.goog[web/front]" lacks iam.serviceAccounts.getAccessToken on "projects/demo-project/serviceAccounts/worker@demo-project.iam.gserviceaccount.com"`
		hint = `bind it with: gcloud iam service-accounts add-iam-policy-binding worker@demo-project.iam.gserviceaccount.com --role roles/iam.workloadIdentityUser --member "serviceAccount:demo-project.svc.id.goog[web/front]"`
	)
	for name, test := range map[string]struct {
		annotation, members string
		mode                guard.Mode
		body, id, why       string // what the answers with an access token and with an ID token begin with
	}{
		"bound":            {emulatortest.Worker, bound, guard.Enforce, `{"access_token":"ya29.`, "ey", ""},
		"by its namespace": {emulatortest.Worker, `"principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo-project.svc.id.goog/namespace/web"`, guard.Enforce, `{"access_token":"ya29.`, "ey", ""},
		"not bound":        {emulatortest.Worker, other, guard.Enforce, text, strings.NewReplacer("access token", "ID token", "getAccessToken", "getOpenIdToken").Replace(text), why},
		"audited":          {emulatortest.Worker, other, guard.Audit, `{"access_token":"ya29.`, "ey", why},
		"not strict":       {emulatortest.Worker, other, guard.Off, `{"access_token":"ya29.`, "ey", ""},
		"not annotated":    {"", other, guard.Enforce, `{"access_token":"ya29.`, "Your Kubernetes service account (web/front) is not annotated", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := inCluster(t, "front.web", test.annotation, test.members, test.mode)
			status, body := e.Metadata(t, "instance/service-accounts/default/token")
			if want := http.StatusOK; !strings.HasPrefix(body, test.body) || (status == want) != strings.HasPrefix(body, "{") {
				t.Errorf("the access token: status %d, %s", status, body)
			}
			seen := e.Journal.Since(0).Exchanges
			last := seen[len(seen)-1]
			if last.Reason != test.why || last.Instance != "front.web" {
				t.Errorf("the journal has %q about %q", last.Reason, last.Instance)
			}
			if test.why != "" && (last.Code != reason.MissingPermission || last.Hint != hint) {
				t.Errorf("the refusal has the code %q and the hint %q", last.Code, last.Hint)
			}
			if status, body := e.Metadata(t, "instance/service-accounts/default/identity?audience=x"); !strings.HasPrefix(body, test.id) {
				t.Errorf("the ID token: status %d, %s", status, body)
			}
			if status, body := e.Metadata(t, "instance/service-accounts/default/aliases"); status != http.StatusOK {
				t.Errorf("a value: status %d, %s", status, body)
			}
		})
	}
}

// The control plane says at once which instance its caller is. It does not wait for news of a pod.
func TestControlPlaneDoesNotWait(t *testing.T) {
	t.Parallel()
	e := inCluster(t, "", "", "", guard.Off)
	var list struct {
		Yours struct{ Instance, Because, Hint string }
	}
	e.CallJSON(t, http.MethodGet, "/emulator/v1/instances", "", &list)
	if yours := list.Yours; yours.Instance != "" || yours.Because != "no pod has the address 127.0.0.1" || yours.Hint != "wait" {
		t.Errorf("the caller is %+v", yours)
	}
}
