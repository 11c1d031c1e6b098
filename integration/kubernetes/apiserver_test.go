//go:build cluster

package kubernetes_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

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
	port    string
	etcd    string // its URL
	process *exec.Cmd
	config  *rest.Config
}

const (
	adminToken = "admin-token"
	issuer     = "https://kubernetes.default.svc.cluster.local"
)

// startAPIServer starts an API server, or skips the test if none was built.
func startAPIServer(t *testing.T) *apiserver {
	t.Helper()
	program := os.Getenv(binary)
	if program == "" {
		t.Skipf("WITHOUT A REAL API SERVER: set %s to the program that scripts/kubernetes/apiserver builds", binary)
	}
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("WITHOUT A REAL API SERVER: etcd is not installed (apt-get install etcd-server)")
	}
	s := &apiserver{t: t, program: program, dir: t.TempDir(), port: freePort(t), etcd: "http://127.0.0.1:" + freePort(t)}
	s.run(etcd, "etcd.log", "--data-dir", filepath.Join(s.dir, "etcd"), "--listen-client-urls", s.etcd, "--advertise-client-urls", s.etcd,
		"--listen-peer-urls", "http://127.0.0.1:"+freePort(t), "--unsafe-no-fsync")
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
		Host: "https://127.0.0.1:" + s.port, BearerToken: adminToken, QPS: -1,
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
	s.process = s.run(s.program, "apiserver.log", "--etcd-servers="+s.etcd, "--secure-port="+s.port, "--bind-address=127.0.0.1", "--cert-dir="+file("certs"),
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

// kubeconfig writes the file that leads a program with a token to the API server.
func (s *apiserver) kubeconfig(token string) string {
	s.t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: s.config.Host, InsecureSkipTLSVerify: true}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	file := filepath.Join(s.dir, fmt.Sprintf("kubeconfig-%d", len(token)))
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		s.t.Fatal(err)
	}
	return file
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
