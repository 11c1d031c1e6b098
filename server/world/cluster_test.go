package world_test

import (
	"testing"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/world/worldtest"
)

// A member of a cluster's pool whose subject only resembles that of a Kubernetes service account has
// no rights of such an account.
func TestMembersWithOtherSubjects(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, `
project: {id: my-project, number: 7}
serviceAccounts: [{email: a@my-project.iam.gserviceaccount.com}]
policies:
  - resource: serviceAccounts/a@my-project.iam.gserviceaccount.com
    bindings: [{role: roles/iam.workloadIdentityUser, members: ["serviceAccount:my-project.svc.id.goog[web/front]"]}]
`)
	target, _ := w.Account("a@my-project.iam.gserviceaccount.com")
	for subject, want := range map[string]bool{
		"ns/web/sa/front": true, "x/web/y/front": false, "ns/web/y/front": false, "x/web/sa/front": false, "ns/web/sa/front/": false,
	} {
		who := iam.Principal{Kind: iam.KindFederated, Pool: w.PoolName("my-project.svc.id.goog"), ID: subject}
		if got := w.May(who, "iam.serviceAccounts.getAccessToken", target, time.Time{}); got != want {
			t.Errorf("subject %q may: %v, want %v", subject, got, want)
		}
	}
}

// Policies name a Kubernetes service account in several ways, whether its token comes from the
// metadata server of its pod or from a token exchange.
func TestMembersOfClusters(t *testing.T) {
	t.Parallel()
	const cluster = "https://container.googleapis.com/v1/projects/my-project/locations/us-central1-a/clusters/demo-cluster"
	const pool = "iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/my-project.svc.id.goog"
	for member, want := range map[string]struct{ pod, exchanged bool }{
		"serviceAccount:my-project.svc.id.goog[web/front]":              {true, true},
		"principal://" + pool + "/subject/ns/web/sa/front":              {true, true},
		"principalSet://" + pool + "/namespace/web":                     {true, true},
		"principalSet://" + pool + "/*":                                 {true, true},
		"principalSet://" + pool + "/kubernetes.cluster/" + cluster:     {false, true},
		"principalSet://" + pool + "/kubernetes.serviceaccount.uid/u-1": {false, true},
		"principalSet://" + pool + "/namespace/other":                   {},
		"principal://" + pool + "/subject/ns/web/sa/other":              {},
		"serviceAccount:my-project.svc.id.goog[web/Front]":              {},
		"serviceAccount:other.svc.id.goog[web/front]":                   {},
	} {
		w := worldtest.Parse(t, `
project: {id: my-project, number: 7}
serviceAccounts: [{email: a@my-project.iam.gserviceaccount.com}]
instances: [{name: pod, profile: gke, serviceAccounts: [], kubernetesServiceAccount: web/front}]
policies:
  - resource: serviceAccounts/a@my-project.iam.gserviceaccount.com
    bindings: [{role: roles/iam.workloadIdentityUser, members: ["`+member+`"]}]
`)
		target, _ := w.Account("a@my-project.iam.gserviceaccount.com")
		may := func(who iam.Principal) bool {
			return w.May(who, "iam.serviceAccounts.getAccessToken", target, time.Time{})
		}
		if got := may(w.Instances[0].ServiceAccounts[0].Account.Principal()); got != want.pod {
			t.Errorf("%s: the pod may: %v", member, got)
		}
		clusters, provider, ok := w.Provider("identitynamespace:my-project.svc.id.goog:" + cluster)
		if !ok {
			t.Fatal("the pod's cluster is not a provider")
		}
		exchanged, err := provider.Principal(clusters, map[string]any{
			"iss": cluster, "sub": "system:serviceaccount:web:front",
			"kubernetes.io": map[string]any{"serviceaccount": map[string]any{"uid": "u-1"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := may(exchanged); got != want.exchanged {
			t.Errorf("%s: the bearer of an exchanged token may: %v", member, got)
		}
	}
}

// A fixture that describes the pool of the pods' clusters says everything about it.
func TestDescribedClusters(t *testing.T) {
	t.Parallel()
	const audience = "identitynamespace:my-project.svc.id.goog:https://container.googleapis.com/v1/projects/my-project/locations/us-central1-a/clusters/demo-cluster"
	const pods = "project: {id: my-project}\ninstances: [{name: a, profile: gke}, {name: b, profile: gke}, {name: vm}]\n"
	for name, test := range map[string]struct {
		fixture string
		want    bool
	}{
		"of pods":   {pods, true},
		"of no pod": {"project: {id: my-project}\n", false},
		"described": {pods + "workloadIdentityPools: [{id: my-project.svc.id.goog}]\n", false},
	} {
		w := worldtest.Parse(t, test.fixture)
		if pool, _, ok := w.Provider(audience); ok != test.want {
			t.Errorf("%s: found: %v", name, ok)
		} else if ok && len(pool.Providers) != 1 {
			t.Errorf("%s: %d providers for one cluster", name, len(pool.Providers))
		}
	}
}
