//go:build cluster

package kubernetes_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	cachetest "k8s.io/client-go/tools/cache/testing"

	"gcp-metadata-emulator/server/kubernetes"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// source is a cluster's API server for one kind of objects.
type source struct {
	*cachetest.FakeControllerSource

	failure atomic.Pointer[error]
}

func (s *source) Watch(options metav1.ListOptions) (apiwatch.Interface, error) {
	if failure := s.failure.Load(); failure != nil {
		return nil, *failure
	}
	return s.FakeControllerSource.Watch(options)
}

// IsWatchListSemanticsUnSupported makes informers list before they watch.
func (*source) IsWatchListSemanticsUnSupported() bool { return true }

// rig is a watcher of a cluster.
type rig struct {
	*kubernetes.Watcher

	t              *testing.T
	pods, accounts *source
	into           *into
	world          *world.World
	changes        atomic.Int64
	log            strings.Builder
}

// into are the pods of the emulator, with a look at each pod before it gets there.
type into struct {
	*world.Pods

	putting func(world.Pod)
}

func (i *into) Put(one world.Pod) {
	i.putting(one)
	i.Pods.Put(one)
}

const patience = 2 * time.Second

// start returns a rig with a running watcher.
func start(t *testing.T) *rig {
	t.Helper()
	r := prepare(t)
	r.run()
	return r
}

// prepare returns a rig with a watcher that does not run yet.
func prepare(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		t: t, pods: &source{FakeControllerSource: cachetest.NewFakeControllerSource()}, accounts: &source{FakeControllerSource: cachetest.NewFakeControllerSource()},
		into: &into{&world.Pods{}, func(world.Pod) {}}, world: worldtest.Parse(t, "project: {id: my-project}\nserviceAccounts: [{email: a@my-project.iam.gserviceaccount.com}]"),
	}
	r.world.TakePods(r.into.Pods)
	r.configure(func(*kubernetes.Config) {})
	return r
}

// configure makes the watcher of the rig again.
func (r *rig) configure(change func(*kubernetes.Config)) {
	config := kubernetes.Config{
		Pods: cache.ListerWatcher(r.pods), Accounts: r.accounts, Into: r.into, Changed: func() { r.changes.Add(1) },
		Logger: slog.New(slog.NewTextHandler(&r.log, nil)), Patience: patience,
	}
	change(&config)
	r.Watcher = kubernetes.New(config)
}

// run starts the watcher, and stops it at the end of the test.
func (r *rig) run() {
	ctx, stop := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	r.t.Cleanup(func() {
		stop()
		<-done
		r.pods.Broadcaster.Shutdown()
		r.accounts.Broadcaster.Shutdown()
	})
}

// account adds a service account of the namespace web.
func (r *rig) account(name, google string) *corev1.ServiceAccount {
	one := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "web", Annotations: map[string]string{"other": "x"}}}
	if google != "" {
		one.Annotations["iam.gke.io/gcp-service-account"] = google
	}
	r.accounts.Add(one)
	return one
}

// newPod returns a running pod of the namespace web. The pod's service account has the name of the
// pod.
func newPod(name string, addresses ...string) *corev1.Pod {
	one := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "web", UID: types.UID("uid-of-" + name), CreationTimestamp: metav1.Now()},
		Spec:       corev1.PodSpec{NodeName: "node-1", ServiceAccountName: name},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for i, address := range addresses {
		if i == 0 {
			one.Status.PodIP = address
		}
		one.Status.PodIPs = append(one.Status.PodIPs, corev1.PodIP{IP: address})
	}
	return one
}

// at returns the instance of an address with its account. If there is no instance, it returns the
// reason.
func (r *rig) at(address string) string {
	r.t.Helper()
	name, refusal := r.At(r.t.Context(), netip.MustParseAddr(address))
	if refusal != nil {
		if refusal.Hint == "" || name != "" {
			r.t.Errorf("%s: instance %q, hint %q", address, name, refusal.Hint)
		}
		return refusal.Reason
	}
	instance, ok := r.world.Instance(name)
	if !ok {
		return name + " is no instance"
	}
	return name + " as " + instance.ServiceAccounts[0].Email
}

func (r *rig) expect(address, want string) {
	r.t.Helper()
	if got := r.at(address); got != want {
		r.t.Errorf("%s: %s; want %s", address, got, want)
	}
}

const (
	google  = "a@my-project.iam.gserviceaccount.com"
	another = "b@my-project.iam.gserviceaccount.com"
)

// A pod is known by all its addresses, with the identity of its service account.
func TestIdentities(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.account("plain", "")
		r.account("annotated", google)
		r.account("wrong", "Nobody at all")
		r.account("default", another)
		ofKubelet := newPod("of-kubelet", "10.4.0.10")
		ofKubelet.Spec.ServiceAccountName = ""
		onNode := newPod("on-node", "10.0.0.1")
		onNode.Spec.HostNetwork = true
		ended, failed := newPod("ended", "10.4.0.8"), newPod("failed", "10.4.0.9")
		ended.Status.Phase, failed.Status.Phase = corev1.PodSucceeded, corev1.PodFailed
		for _, one := range []*corev1.Pod{
			newPod("plain", "10.4.0.5", "fd00::5"), newPod("annotated", "10.4.0.6"), newPod("wrong", "10.4.0.7"), onNode, ended, failed, newPod("pending"), newPod("odd", "no address"), ofKubelet,
		} {
			r.pods.Add(one)
		}
		synctest.Wait()
		for address, want := range map[string]string{
			"10.4.0.5":  "plain.web as my-project.svc.id.goog",
			"fd00::5":   "plain.web as my-project.svc.id.goog",
			"10.4.0.6":  "annotated.web as " + google,
			"10.4.0.7":  `the service account "web/wrong" of the pod "wrong.web" is annotated with "Nobody at all", which is not an e-mail address`,
			"10.4.0.10": "of-kubelet.web as " + another,
			"10.4.0.8":  "no pod has the address 10.4.0.8",
			"10.4.0.9":  "no pod has the address 10.4.0.9",
			"10.0.0.1":  "the address 10.0.0.1 is that of a node, which pods in its network share: on-node.web",
		} {
			r.expect(address, want)
		}
		if ready, problem := r.Health(); !ready || problem != "" {
			t.Errorf("health: %v, %s", ready, problem)
		}
		var instances []string
		for _, one := range r.world.Pods() {
			instances = append(instances, one.Name)
		}
		if got := strings.Join(instances, " "); got != "annotated.web of-kubelet.web plain.web wrong.web" {
			t.Errorf("the pods are %s", got)
		}
		const known = 5
		if r.Addresses() != known || r.Lost() != 0 {
			t.Errorf("%d addresses, %d watches lost", r.Addresses(), r.Lost())
		}
		if !strings.Contains(r.log.String(), "annotated with something else") {
			t.Errorf("the log is %s", r.log.String())
		}
	})
}

// A request that is faster than the news of its pod waits for them, but not for ever.
func TestLatePods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		synctest.Wait()
		begin := time.Now()
		answers := make(chan string, 1)
		go func() { answers <- r.at("10.4.0.5") }()
		time.Sleep(patience / 2)
		r.pods.Add(newPod("late", "10.4.0.5"))
		time.Sleep(patience / 4)
		r.account("late", google)
		if got := <-answers; got != "late.web as "+google || time.Since(begin) > patience {
			t.Errorf("after %v: %s", time.Since(begin), got)
		}

		begin = time.Now()
		r.expect("10.4.0.6", "no pod has the address 10.4.0.6")
		if waited := time.Since(begin); waited != patience {
			t.Errorf("the request has waited for %v", waited)
		}
		begin = time.Now()
		r.expect("10.4.0.6", "no pod has the address 10.4.0.6")
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the second request has waited for %v", waited)
		}
		r.pods.Add(newPod("unknown", "10.4.0.7"))
		r.expect("10.4.0.7", `the service account "web/unknown" of the pod "unknown.web" has not been seen yet`)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin = time.Now()
		if _, refusal := r.At(ctx, netip.MustParseAddr("10.4.0.8")); refusal == nil || time.Since(begin) != 0 {
			t.Errorf("the client has gone: %v after %v", refusal, time.Since(begin))
		}
	})
}

// An edit of an annotation counts at once, and removed pods together.
func TestChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		account := r.account("web", "")
		const count = 100
		for i := range count {
			one := newPod(fmt.Sprintf("pod-%d", i), fmt.Sprintf("10.4.1.%d", i))
			one.Spec.ServiceAccountName = "web"
			r.pods.Add(one)
		}
		synctest.Wait()
		if got := r.changes.Load(); got != 0 {
			t.Errorf("%d changes although nobody can have waited", got)
		}
		busy := newPod("pod-7", "10.4.1.7")
		busy.Spec.ServiceAccountName, busy.CreationTimestamp = "web", metav1.NewTime(time.Now().Add(-time.Hour))
		before, _ := r.world.Instance("pod-7.web")
		busy.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", RestartCount: 1}}
		r.pods.Modify(busy)
		synctest.Wait()
		if after, _ := r.world.Instance("pod-7.web"); after != before || r.changes.Load() != 0 {
			t.Error("news of a container make another instance of its pod")
		}
		account = account.DeepCopy()
		account.Annotations["iam.gke.io/gcp-service-account"] = google
		r.accounts.Modify(account)
		synctest.Wait()
		r.expect("10.4.1.7", "pod-7.web as "+google)
		if got := r.changes.Load(); got != 1 {
			t.Errorf("%d changes after an edit", got)
		}
		for i := range count {
			r.pods.Delete(newPod(fmt.Sprintf("pod-%d", i)))
		}
		time.Sleep(time.Minute)
		if got := r.changes.Load(); got < 2 || got > 3 {
			t.Errorf("%d changes after the pods were removed", got)
		}
		if pods := r.world.Pods(); len(pods) != 0 || r.Addresses() != 0 {
			t.Errorf("there are still %d pods and %d addresses", len(pods), r.Addresses())
		}
		r.accounts.Delete(account)
		synctest.Wait()
		if r.into.HasAccount("web/web") {
			t.Error("the account is still there")
		}
	})
}

// If a watcher does not hear the API server, it serves its old state, reports the loss, and goes on
// later.
func TestLostWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		if ready, problem := r.Health(); ready || !strings.Contains(problem, "the pods of the cluster have not been seen yet") {
			t.Errorf("at the start: %v, %s", ready, problem)
		}
		r.account("web", google)
		r.pods.Add(newPod("web", "10.4.0.5"))
		synctest.Wait()
		lost := fmt.Errorf("list pods: %w", syscall.ECONNREFUSED) // errors of other kinds make client-go sleep by the machine's clock
		r.pods.failure.Store(&lost)
		r.pods.ResetWatch()
		time.Sleep(time.Minute)
		r.expect("10.4.0.5", "web.web as "+google)
		r.expect("10.4.0.6", "no pod that was seen has the address 10.4.0.6, and pods cannot be watched at the moment: list pods: connection refused")
		if ready, problem := r.Health(); !ready || problem != "the pods of the cluster cannot be watched: list pods: connection refused" || r.Lost() != 1 {
			t.Errorf("health: %v, %s; %d lost", ready, problem, r.Lost())
		}
		r.pods.Add(newPod("more", "10.4.0.6"))
		r.account("more", another)
		r.pods.Delete(newPod("web"))
		r.pods.failure.Store(nil)
		time.Sleep(2 * time.Minute)
		r.expect("10.4.0.6", "more.web as "+another)
		r.expect("10.4.0.5", "no pod has the address 10.4.0.5")
		if ready, problem := r.Health(); !ready || problem != "" || r.Lost() != 0 {
			t.Errorf("health: %v, %s; %d lost", ready, problem, r.Lost())
		}
		synctest.Wait() // nobody writes into the log now
		for _, want := range []string{"cannot watch a cluster; still serving what was seen", "watching a cluster again"} {
			if strings.Count(r.log.String(), want) != 1 {
				t.Errorf("the log does not have %q once: %s", want, r.log.String())
			}
		}
	})
}

// The refusal of an address says that only the pods of a node are followed.
func TestOnlyOneNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := prepare(t)
		r.configure(func(c *kubernetes.Config) { c.Node = "node-1" })
		r.run()
		r.account("web", google)
		r.pods.Add(newPod("web", "10.4.0.5"))
		synctest.Wait()
		r.expect("10.4.0.5", "web.web as "+google)
		r.expect("10.4.0.6", `no pod of the node "node-1" has the address 10.4.0.6, and other nodes are not watched (--node)`)
	})
}

// BenchmarkAt shows that a look-up costs the same with few and with many pods.
func BenchmarkAt(b *testing.B) {
	for _, count := range []int{10, 5000} {
		b.Run(fmt.Sprintf("%d pods", count), func(b *testing.B) {
			pods, accounts := &source{FakeControllerSource: cachetest.NewFakeControllerSource()}, &source{FakeControllerSource: cachetest.NewFakeControllerSource()}
			w := kubernetes.New(kubernetes.Config{Pods: pods, Accounts: accounts, Into: &world.Pods{}, Changed: func() {}, Logger: slog.New(slog.DiscardHandler)})
			accounts.Add(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "web"}})
			for i := range count {
				one := newPod(fmt.Sprintf("pod-%d", i), fmt.Sprintf("10.4.%d.%d", i/250, i%250))
				one.Spec.ServiceAccountName = "web"
				pods.Add(one)
			}
			go w.Run(b.Context())
			address := netip.MustParseAddr("10.4.0.7")
			if _, refusal := w.At(b.Context(), address); refusal != nil {
				b.Fatal(refusal)
			}
			b.ReportAllocs()
			for b.Loop() {
				w.At(b.Context(), address)
			}
		})
	}
}
