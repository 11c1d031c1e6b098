package world_test

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

const withPods = `
project: {id: my-project, number: 7}
serviceAccounts: [{email: a@my-project.iam.gserviceaccount.com}]
policies:
  - resource: serviceAccounts/a@my-project.iam.gserviceaccount.com
    bindings: [{role: roles/iam.workloadIdentityUser, members: ["serviceAccount:my-project.svc.id.goog[web/plain]"]}]
instances:
  - {name: vm}
  - {name: like, profile: gke, zone: europe-west1-b, metadata: {instance: {attributes: {cluster-name: blue}}}}
`

const listed = "a@my-project.iam.gserviceaccount.com"

func cluster() *world.Pods {
	pods := &world.Pods{}
	pods.Annotate("web/plain", "")
	pods.Annotate("web/listed", listed)
	pods.Annotate("web/unlisted", "b@elsewhere.iam.gserviceaccount.com")
	for _, name := range []string{"plain", "listed", "unlisted", "unknown"} {
		pods.Put(world.Pod{Name: name + ".web", Node: "node-1", Account: "web/" + name})
	}
	return pods
}

// inCluster returns the world withPods in a cluster.
func inCluster(t testing.TB, pods *world.Pods) *world.World {
	t.Helper()
	w := worldtest.Parse(t, withPods)
	w.TakePods(pods)
	return w
}

// A pod runs as the account of the annotation, or as a member of the pool, and has the zone and the
// attributes of the fixture's pod and the name of its node.
func TestPods(t *testing.T) {
	t.Parallel()
	w := inCluster(t, cluster())
	want := map[string]string{
		"plain.web":    "my-project.svc.id.goog my-project.svc.id.goog[web/plain] web/plain",
		"listed.web":   listed + " " + listed + " ",
		"unlisted.web": "b@elsewhere.iam.gserviceaccount.com b@elsewhere.iam.gserviceaccount.com ",
		"unknown.web":  "none",
		"nothing.web":  "none",
	}
	got := map[string]string{}
	for name := range want {
		pod, ok := w.Instance(name)
		if !ok {
			got[name] = "none"
			continue
		}
		attached := pod.ServiceAccounts[0]
		got[name] = attached.Email + " " + attached.Account.Email + " " + attached.Kubernetes
		if found, ok := w.Account(attached.Account.UniqueID); !ok || found != attached.Account {
			t.Errorf("%s: the account is not found by its ID", name)
		}
		if again, _ := w.Instance(name); again != pod {
			t.Errorf("%s: another look makes another instance", name)
		}
		for path, want := range map[string]any{
			"instance/attributes/cluster-name": "blue", "instance/zone": "projects/7/zones/europe-west1-b",
			"instance/hostname": "node-1.europe-west1-b.c.my-project.internal",
		} {
			if value, err := w.Metadata(pod, path); err != nil || value != want {
				t.Errorf("%s: %s is %v, %v", name, path, value, err)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	target, _ := w.Account(listed)
	plain, _ := w.Instance("plain.web")
	if !w.May(plain.ServiceAccounts[0].Account.Principal(), "iam.serviceAccounts.getAccessToken", target, time.Time{}) {
		t.Error("the pod may not do what the policy allows")
	}
	if w.May(iam.Principal{Kind: iam.KindServiceAccount, Email: "b@elsewhere.iam.gserviceaccount.com"}, "iam.serviceAccounts.getAccessToken", target, time.Time{}) {
		t.Error("an account that no policy names may impersonate the other")
	}
}

// A pod follows its annotation, its account and the fixture's pod. What concerns other pods leaves it as
// it was.
func TestPodsFollow(t *testing.T) {
	t.Parallel()
	pods := cluster()
	w := inCluster(t, pods)
	instance := func(w *world.World, name string) *world.Instance {
		one, _ := w.Instance(name)
		return one
	}
	before := instance(w, "listed.web")
	pods.Annotate("web/new", "c@elsewhere.iam.gserviceaccount.com")
	pods.Put(world.Pod{Name: "new.web", Account: "web/new"})
	if instance(w, "listed.web") != before || instance(w, "new.web").ServiceAccounts[0].Email != "c@elsewhere.iam.gserviceaccount.com" {
		t.Error("another pod has changed the first")
	}

	like := instance(w, "like")
	edited, err := w.WithMetadata(like, "instance/attributes/cluster-name", "green")
	if err != nil {
		t.Fatal(err)
	}
	if value, _ := edited.Metadata(instance(edited, "listed.web"), "instance/attributes/cluster-name"); value != "green" {
		t.Errorf("cluster-name is %v", value)
	}

	account, _ := w.Account(listed)
	disabled := *account
	disabled.Disabled = true
	if got := instance(w.WithAccount(&disabled), "listed.web"); !got.ServiceAccounts[0].Account.Disabled {
		t.Error("the pod's account is not disabled")
	}
	unlisted := instance(w, "unlisted.web").ServiceAccounts[0].Account
	for name, account := range map[string]*world.ServiceAccount{"listed.web": account, "unlisted.web": unlisted} {
		without := w.WithoutAccount(account, time.Time{})
		pod := instance(without, name)
		if _, known := without.Account(account.Email); known || !pod.ServiceAccounts[0].Account.Disabled || instance(without, pod.Name) != pod {
			t.Errorf("%s was deleted: known: %v, the pod has %+v", account.Email, known, pod.ServiceAccounts[0].Account)
		}
	}

	if !pods.Annotate("web/listed", "") || pods.Annotate("web/listed", "") {
		t.Error("Annotate does not report whether the account has changed")
	}
	if got := instance(w, "listed.web"); got == before || got.ServiceAccounts[0].Kubernetes != "web/listed" {
		t.Errorf("without its annotation, the pod runs as %+v", got.ServiceAccounts)
	}
	principal := instance(w, "listed.web").ServiceAccounts[0].Account.UniqueID
	pods.RemoveAccount("web/listed")
	if _, ok := w.Account(principal); ok || instance(w, "listed.web") != nil {
		t.Error("the Kubernetes service account is removed, and the pod still runs as it")
	}
	pods.Remove("plain.web")
	if instance(w, "plain.web") != nil || len(w.Pods()) != len([]string{"listed", "new", "unknown", "unlisted"}) {
		t.Errorf("a pod was removed, and there are %+v", w.Pods())
	}
}

// A pod belongs to its cluster: edits of its metadata are refused.
func TestPodsAreNotEdited(t *testing.T) {
	t.Parallel()
	w := inCluster(t, cluster())
	pod, _ := w.Instance("plain.web")
	_, err := w.WithMetadata(pod, "instance/attributes/k", "v")
	if want := `the entry cannot be edited: "instance/attributes/k" of the pod "plain.web" comes from its cluster`; err == nil || err.Error() != want {
		t.Errorf("WithMetadata: %v", err)
	}
	if w.Fixture() == nil || len(w.Fixture().Instances) != len(w.Instances) {
		t.Error("the world describes pods as instances of its fixture")
	}
}

// Goroutines that look at the same time find the same instance.
func TestPodsAtTheSameTime(t *testing.T) {
	t.Parallel()
	pods := cluster()
	worlds := store.New(inCluster(t, pods))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 200 {
				if one, ok := worlds.Load().State.Instance("listed.web"); !ok || len(one.ServiceAccounts) != 1 {
					t.Error("the pod is gone")
				}
				name := fmt.Sprintf("web/%d", i)
				pods.Annotate(name, "")
				pods.RemoveAccount(name)
			}
		})
	}
	group.Wait()
	first, _ := worlds.Load().State.Instance("listed.web")
	if second, _ := worlds.Load().State.Instance("listed.web"); first != second {
		t.Error("two looks find two instances")
	}
}

// BenchmarkPod shows that a look-up costs the same with few and with many pods.
func BenchmarkPod(b *testing.B) {
	for _, count := range []int{10, 5000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			pods := cluster()
			for i := range count {
				pods.Put(world.Pod{Name: fmt.Sprintf("pod-%d.web", i), Account: "web/plain"})
			}
			w := inCluster(b, pods)
			runtime.GC()
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := w.Instance("pod-7.web"); !ok {
					b.Fatal("the pod is gone")
				}
			}
		})
	}
}
