//go:build cluster

package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/journal"
	watched "gcp-metadata-emulator/server/kubernetes"
	"gcp-metadata-emulator/server/world"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	google    = "worker@demo-project.iam.gserviceaccount.com"
	unlisted  = "elsewhere@other-project.iam.gserviceaccount.com"
	namespace = "web"
	node      = "node-1"

	annotation   = "iam.gke.io/gcp-service-account"
	accountsPath = "/computeMetadata/v1/instance/service-accounts/"
	emailPath    = accountsPath + "default/email"
)

// cluster is the API server of a cluster.
type cluster interface {
	client() kubernetes.Interface // of an administrator
	sources() *watched.Client     // of the emulator
	kill()
	start()  // after kill
	forget() // frees what the server keeps in this process for the test only
}

// scene is an emulator that watches a cluster. The test plays kubelet and controllers.
type scene struct {
	t        *testing.T
	api      cluster
	client   kubernetes.Interface
	emulator *emulatortest.Emulator
	watcher  *watched.Watcher
	asked    sync.Map // the addresses for which the emulator has begun to look for a pod
}

// At is the watcher's At.
func (s *scene) At(ctx context.Context, address netip.Addr) (instance string, refusal *journal.Refusal) {
	s.asked.Store(address, true)
	return s.watcher.At(ctx, address)
}

// begin starts a strict emulator that watches a cluster.
func begin(t *testing.T, from cluster) *scene {
	t.Helper()
	s := &scene{t: t, api: from, client: from.client()}
	into, logger, of := &world.Pods{}, slog.New(slog.NewTextHandler(t.Output(), nil)), from.sources()
	s.watcher = watched.New(watched.Config{
		Pods: of.Pods(node), Accounts: of.Accounts(), Into: into, Logger: logger,
		Changed: func() { s.emulator.FollowPods() },
	})
	s.emulator = emulatortest.NewOf(t, fixtures.Files{Fixture: "testdata/world.yaml"}, func(config *server.Config) {
		config.Pods, config.Workloads.Pods, config.Cluster = into, s, watched.NewIssuer(of.Read, logger)
		config.Clock.Reset() // the cluster's tokens have the machine's time
		config.Parts = []control.Part{{Health: s.watcher.Health}}
		config.Logger = slog.New(slog.DiscardHandler)
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.watcher.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	must(t)(s.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}))
	return s
}

// must returns a function that fails the test for an error of a call.
func must(t *testing.T) func(any, error) {
	t.Helper()
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *scene) account(name, google string) {
	s.t.Helper()
	one := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	if google != "" {
		one.Annotations = map[string]string{annotation: google}
	}
	must(s.t)(s.client.CoreV1().ServiceAccounts(namespace).Create(s.t.Context(), one, metav1.CreateOptions{}))
}

func (s *scene) annotate(name, google string) {
	s.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, annotation, google)
	must(s.t)(s.client.CoreV1().ServiceAccounts(namespace).Patch(s.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}))
}

// pod adds a running pod with an address, as the scheduler and a kubelet do.
func (s *scene) pod(ctx context.Context, name, account, address string, change func(*corev1.Pod)) error {
	one := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, UID: types.UID(name)}, // a real API server gives it another UID
		Spec:       corev1.PodSpec{NodeName: node, ServiceAccountName: account, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	change(one)
	made, err := s.client.CoreV1().Pods(namespace).Create(ctx, one, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	made.Status.Phase, made.Status.PodIP, made.Status.PodIPs = corev1.PodRunning, address, []corev1.PodIP{{IP: address}}
	_, err = s.client.CoreV1().Pods(namespace).UpdateStatus(ctx, made, metav1.UpdateOptions{})
	return err
}

func (s *scene) mustPod(name, account, address string) {
	s.t.Helper()
	if err := s.pod(s.t.Context(), name, account, address, func(*corev1.Pod) {}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) remove(ctx context.Context, name string) error {
	return s.client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
}

// get asks for metadata from an address.
func (s *scene) get(ctx context.Context, address, path string) (int, string) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext,
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.emulator.URL+path, nil)
	if err != nil {
		s.t.Error(err)
		return 0, ""
	}
	request.Header.Set("Metadata-Flavor", "Google")
	response, err := client.Do(request)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			s.t.Errorf("%s from %s: %v", path, address, err)
		}
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// expect asks for the e-mail address of an address' default account until it is the wanted address. An empty
// address stands for a refusal.
func (s *scene) expect(address, want string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	var status int
	var got string
	for ctx.Err() == nil {
		status, got = s.get(ctx, address, emailPath)
		if status == http.StatusOK && got == want || status == http.StatusForbidden && want == "" {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.t.Fatalf("%s: status %d, %s; want %q", address, status, got, want)
}

// identities checks the identities of pods, from their birth to their end.
func (s *scene) identities() {
	s.t.Helper()
	s.account("plain", "")
	s.account("annotated", google)
	s.account("unlisted", unlisted)
	s.mustPod("plain", "plain", "127.4.0.5")
	s.mustPod("annotated", "annotated", "127.4.0.6")
	s.mustPod("unlisted", "unlisted", "127.4.0.7")
	if err := s.pod(s.t.Context(), "on-node", "annotated", "127.4.0.8", func(p *corev1.Pod) { p.Spec.HostNetwork = true }); err != nil {
		s.t.Fatal(err)
	}
	s.expect("127.4.0.5", "demo-project.svc.id.goog")
	s.expect("127.4.0.6", google)
	s.expect("127.4.0.7", unlisted)
	s.expect("127.4.0.8", "")
	s.expect("127.4.0.9", "")
	for address, want := range map[string]int{
		"127.4.0.5": http.StatusNotFound, "127.4.0.6": http.StatusOK, "127.4.0.7": http.StatusForbidden, // whose account no policy gives it
		"127.4.0.9": http.StatusForbidden,
	} {
		if status, body := s.get(s.t.Context(), address, accountsPath+"default/identity?audience=x"); status != want {
			s.t.Errorf("%s: the ID token has status %d: %s", address, status, body)
		}
	}
	if status, body := s.get(s.t.Context(), "127.4.0.5", accountsPath+"default/token"); status != http.StatusOK || !strings.Contains(body, "access_token") {
		s.t.Errorf("the pod's own token: status %d, %s", status, body)
	}

	if err := s.remove(s.t.Context(), "annotated"); err != nil {
		s.t.Fatal(err)
	}
	s.expect("127.4.0.6", "")
	s.mustPod("again", "unlisted", "127.4.0.6")
	s.expect("127.4.0.6", unlisted)
}

// late checks that a request waits for its pod. The news of a pod may be too late if the machine is busy, but
// not every time.
func (s *scene) late() {
	s.t.Helper()
	const most = 10
	var got string
	for i := range most {
		name := fmt.Sprintf("late-%d", i)
		address := fmt.Sprintf("127.4.4.%d", 1+i)
		answer := make(chan string, 1)
		go func() {
			_, body := s.get(s.t.Context(), address, emailPath)
			answer <- body
		}()
		s.settle(func() bool { _, known := s.asked.Load(parse(s.t, address)); return known })
		s.mustPod(name, "annotated", address)
		if got = <-answer; got == google {
			return
		}
		s.expect(address, google)
	}
	s.t.Errorf("none of %d requests before their pods waited; the last one got %s", most, got)
}

// loss ends the API server, which comes back. token is a token of the cluster.
func (s *scene) loss(token string) {
	s.t.Helper()
	s.api.kill()
	s.settle(func() bool { _, problem := s.watcher.Health(); return problem != "" })
	s.expect("127.4.0.5", "demo-project.svc.id.goog")
	s.expect("127.4.0.9", "")
	s.federated(token)
	_, body := s.get(s.t.Context(), "127.0.0.1", "/emulator/v1/readyz")
	if !strings.Contains(body, "cannot be watched") {
		s.t.Errorf("readyz says %s", body)
	}
	begin := time.Now()
	s.api.start()
	s.settle(func() bool { ready, problem := s.watcher.Health(); return ready && problem == "" })
	s.t.Logf("the watches are back %v after the API server was started again", time.Since(begin))
	s.mustPod("after", "annotated", "127.4.0.11")
	s.expect("127.4.0.11", google)
	s.expect("127.4.0.5", "demo-project.svc.id.goog")
}

// The emulator watches an API server, which is killed and comes back. The test plays an API server. If there
// is a real API server, the emulator watches it too, with the rights of the manifests.
func TestFakeAndRealCluster(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(*testing.T) cluster
	}{{"fake", newFakeAPI}, {"real", startAPIServer}} {
		t.Run(test.name, func(t *testing.T) {
			s := begin(t, test.start(t))
			s.identities()
			s.late()
			s.otherNode()
			s.edits()
			kept := s.tokens()
			s.churn(5000)
			s.loss(kept)
		})
	}
}
