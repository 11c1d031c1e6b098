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
	"slices"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/emulatortest"
	watched "gcp-metadata-emulator/server/kubernetes"
	"gcp-metadata-emulator/server/sts"
	"gcp-metadata-emulator/server/world"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
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

// scene is an emulator that watches a cluster. The test plays kubelet and controllers.
type scene struct {
	t        *testing.T
	client   kubernetes.Interface
	emulator *emulatortest.Emulator
	watcher  *watched.Watcher
}

// sources is what the emulator knows a cluster by.
type sources struct {
	pods, accounts cache.ListerWatcher
	keys           sts.Cluster // nil: the keys of the cluster's tokens are not known
}

// begin starts a strict emulator that watches a cluster. client plays the cluster's users.
func begin(t *testing.T, client kubernetes.Interface, of sources) *scene {
	t.Helper()
	s := &scene{t: t, client: client}
	into := &world.Pods{}
	s.watcher = watched.New(watched.Config{
		Pods: of.pods, Accounts: of.accounts, Into: into, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Changed: func() { s.emulator.FollowPods() },
	})
	s.emulator = emulatortest.NewOf(t, fixtures.Files{Fixture: "testdata/world.yaml"}, func(config *server.Config) {
		config.Pods, config.Workloads.Pods, config.Cluster = into, s.watcher, of.keys
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
	must(t)(client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}))
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

// expect asks for the e-mail address of an address' default account until it is the wanted one. An empty
// one stands for a refusal.
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

// identities checks what pods are, from their birth to their end.
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

	late := make(chan string, 1)
	go func() {
		_, body := s.get(s.t.Context(), "127.4.0.10", emailPath)
		late <- body
	}()
	s.mustPod("late", "annotated", "127.4.0.10")
	if got := <-late; got != google {
		s.t.Logf("the request before the pod was refused (the machine is busy): %s", got)
	}
	s.expect("127.4.0.10", google)

	if err := s.remove(s.t.Context(), "annotated"); err != nil {
		s.t.Fatal(err)
	}
	s.expect("127.4.0.6", "")
	s.mustPod("again", "unlisted", "127.4.0.6")
	s.expect("127.4.0.6", unlisted)
}

// edits checks that edits of an annotation wake the requests that wait, and reports how fast.
func (s *scene) edits() {
	s.t.Helper()
	const (
		rounds = 21
		pause  = 150 * time.Millisecond // edits that follow each other faster are told together
	)
	s.account("edited", "")
	s.mustPod("edited", "edited", "127.4.1.1")
	s.expect("127.4.1.1", "demo-project.svc.id.goog")
	var delays []time.Duration
	for round := range rounds {
		want := fmt.Sprintf("sa-%d@demo-project.iam.gserviceaccount.com", round)
		woken := make(chan string, 1)
		go func() {
			_, body := s.get(s.t.Context(), "127.4.1.1", accountsPath+"?recursive=true&wait_for_change=true")
			woken <- body
		}()
		if err := s.emulator.AwaitWaiter(s.t.Context(), isOf("edited."+namespace)); err != nil {
			s.t.Fatal(err)
		}
		begin := time.Now()
		s.annotate("edited", want)
		if got := <-woken; !strings.Contains(got, want) {
			s.t.Fatalf("round %d: the request was answered with %s", round, got)
		}
		delays = append(delays, time.Since(begin))
		<-time.After(pause)
	}
	slices.Sort(delays)
	s.t.Logf("from the edit of an annotation to the answer of a request that waits: median %v, longest %v", delays[rounds/2], delays[rounds-1])

	gone := make(chan int, 1)
	go func() {
		status, _ := s.get(s.t.Context(), "127.4.1.1", accountsPath+"?recursive=true&wait_for_change=true")
		gone <- status
	}()
	if err := s.emulator.AwaitWaiter(s.t.Context(), isOf("edited."+namespace)); err != nil {
		s.t.Fatal(err)
	}
	if err := s.remove(s.t.Context(), "edited"); err != nil {
		s.t.Fatal(err)
	}
	if status := <-gone; status == http.StatusOK {
		s.t.Error("the request of a pod that was removed is answered as if the pod were there")
	}
}

// The emulator watches a real API server with the rights that the manifests give it. The API server is
// killed, and comes back.
func TestRealCluster(t *testing.T) {
	api := startAPIServer(t)
	admin := api.client()
	client, err := watched.Connect(api.kubeconfig(api.emulatorToken(admin)))
	if err != nil {
		t.Fatal(err)
	}
	s := begin(t, admin, sources{client.Pods(node), client.Accounts(), watched.NewIssuer(client.Read, slog.New(slog.NewTextHandler(t.Output(), nil)))})
	s.identities()
	s.otherNode()
	s.edits()
	kept := s.tokens()
	const all = 5000
	s.churn(all, all)

	api.kill()
	s.settle(func() bool { _, problem := s.watcher.Health(); return problem != "" })
	s.expect("127.4.0.5", "demo-project.svc.id.goog")
	s.expect("127.4.0.9", "")
	s.federated(kept)
	_, body := s.get(t.Context(), "127.0.0.1", "/emulator/v1/readyz")
	if !strings.Contains(body, "cannot be watched") {
		t.Errorf("readyz says %s", body)
	}
	begin := time.Now()
	api.start()
	s.settle(func() bool { ready, problem := s.watcher.Health(); return ready && problem == "" })
	t.Logf("the watches are back %v after the API server was started again", time.Since(begin))
	s.mustPod("after", "annotated", "127.4.0.11")
	s.expect("127.4.0.11", google)
	s.expect("127.4.0.5", "demo-project.svc.id.goog")
}

// emulatorToken creates the objects of rbac.yaml, and returns a token of the emulator's service account.
func (s *apiserver) emulatorToken(admin kubernetes.Interface) string {
	s.t.Helper()
	var of *corev1.ServiceAccount
	for _, object := range decodeFile(s.t, "../../scripts/kubernetes/rbac/rbac.yaml") {
		var err error
		switch object := object.(type) {
		case *corev1.ServiceAccount:
			object.Namespace = metav1.NamespaceDefault
			of, err = admin.CoreV1().ServiceAccounts(object.Namespace).Create(s.t.Context(), object, metav1.CreateOptions{})
		case *rbacv1.ClusterRole:
			_, err = admin.RbacV1().ClusterRoles().Create(s.t.Context(), object, metav1.CreateOptions{})
		case *rbacv1.ClusterRoleBinding:
			object.Subjects[0].Namespace = metav1.NamespaceDefault
			_, err = admin.RbacV1().ClusterRoleBindings().Create(s.t.Context(), object, metav1.CreateOptions{})
		default:
			s.t.Fatalf("the file has a %T", object)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	token, err := admin.CoreV1().ServiceAccounts(of.Namespace).CreateToken(s.t.Context(), of.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return token.Status.Token
}
