//go:build cluster

package kubernetes_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gcp-metadata-emulator/server/emulatortest/aloud"
	watched "gcp-metadata-emulator/server/kubernetes"
	"gcp-metadata-emulator/server/records/recordstest"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// binary is the variable with the path of kube-apiserver.
const binary = "KUBE_APISERVER"

// apiserver is a real API server with its etcd. There is no kubelet: tests play it.
type apiserver struct {
	t       *testing.T
	program string
	dir     string
	address string
	etcd    *recordstest.Etcd
	process *exec.Cmd
	config  *rest.Config
}

const (
	adminToken = "admin-token"
	issuer     = "https://kubernetes.default.svc.cluster.local"
)

// startAPIServer starts an API server. If the variable is not set, it skips the test. If anything else is
// missing, the test fails.
func startAPIServer(t *testing.T) cluster {
	t.Helper()
	program, named := os.LookupEnv(binary)
	switch {
	case !named:
		aloud.Skip(t, "WITHOUT A REAL API SERVER, nobody tries the rights of scripts/kubernetes/rbac, tokens and keys that an API server makes, and its "+
			"protobuf: set "+binary+" to the program that scripts/kubernetes/apiserver builds")
	case program == "":
		t.Fatalf("the variable %q is empty: scripts/kubernetes/apiserver has failed", binary)
	}
	s := &apiserver{t: t, program: program, dir: t.TempDir(), address: recordstest.FreeAddress(t), etcd: recordstest.StartEtcd(t)}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.write("sa.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
	s.write("tokens.csv", []byte(adminToken+",admin,admin,system:masters\n"))
	s.config = &rest.Config{
		Host: "https://" + s.address, BearerToken: adminToken, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, // it makes its own certificate
	}
	s.start()
	return s
}

func (s *apiserver) write(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run starts a program that ends with the test.
func (s *apiserver) run(program, log string, arguments ...string) *exec.Cmd {
	s.t.Helper()
	output, err := os.OpenFile(filepath.Join(s.dir, log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = output.Close()
		if content, _ := os.ReadFile(output.Name()); s.t.Failed() {
			s.t.Logf("the end of %s:\n%s", log, content[max(0, len(content)-3000):])
		}
	})
	return command
}

// start starts the API server, and returns when it is ready.
func (s *apiserver) start() {
	s.t.Helper()
	file := func(name string) string { return filepath.Join(s.dir, name) }
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = s.run(s.program, "apiserver.log", "--etcd-servers=http://"+s.etcd.Address, "--secure-port="+port, "--bind-address="+host, "--cert-dir="+file("certs"),
		"--service-account-issuer="+issuer, "--service-account-key-file="+file("sa.key"), "--service-account-signing-key-file="+file("sa.key"),
		"--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC", "--token-auth-file="+file("tokens.csv"),
		"--disable-admission-plugins=ServiceAccount", "--profiling=false")
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if _, err := s.client().Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Raw(); err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	s.t.Fatal("the API server does not get ready")
}

// sources connects with the rights that the manifests give the emulator.
func (s *apiserver) sources() *watched.Client {
	s.t.Helper()
	client, err := watched.Connect(kubeconfig(s.t, s.config.Host, s.emulatorToken(s.client())))
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

// forget does nothing: the test's process keeps nothing for the API server.
func (*apiserver) forget() {}

// kill ends the API server without a warning.
func (s *apiserver) kill() {
	s.t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.process.Wait()
}

func (s *apiserver) client() kubernetes.Interface {
	s.t.Helper()
	client, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

// kubeconfig writes the file that leads a program with a token to an API server.
func kubeconfig(t *testing.T, url, token string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: url, InsecureSkipTLSVerify: true}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t)(nil, clientcmd.WriteToFile(*config, file))
	return file
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
