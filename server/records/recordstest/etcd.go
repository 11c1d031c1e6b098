package recordstest

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Etcd is a server of etcd, for a test.
type Etcd struct {
	Address string // HOST:PORT for clients

	program, dir string
	peers        string
	process      *exec.Cmd
}

// StartEtcd starts a server of etcd that ends with the test. It skips the test if the machine has no
// program "etcd", which the variable ETCD can name too.
func StartEtcd(t testing.TB) *Etcd {
	t.Helper()
	program, err := exec.LookPath(os.Getenv("ETCD"))
	if err != nil {
		program, err = exec.LookPath("etcd")
	}
	if err != nil {
		t.Skip("NO ETCD FOUND: install one (Debian: etcd-server), or name it in the variable ETCD")
	}
	e := &Etcd{program: program, dir: filepath.Join(t.TempDir(), "etcd"), Address: freeAddress(t), peers: freeAddress(t)}
	e.Start(t)
	t.Cleanup(e.Kill)
	return e
}

// Start starts the server again after Kill, with the data that it had.
func (e *Etcd) Start(t testing.TB) {
	t.Helper()
	e.process = exec.Command(e.program, "--name=test", "--data-dir="+e.dir, "--log-level=error", //nolint:noctx // Kill ends it
		"--listen-client-urls=http://"+e.Address, "--advertise-client-urls=http://"+e.Address,
		"--listen-peer-urls=http://"+e.peers, "--initial-advertise-peer-urls=http://"+e.peers, "--initial-cluster=test=http://"+e.peers)
	if err := e.process.Start(); err != nil {
		t.Fatal(err)
	}
	for !e.isHealthy(t.Context()) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the server of etcd does not answer")
		}
	}
}

func (e *Etcd) isHealthy(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.Address+"/health", http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK
}

// Kill ends the server at once, as kill -9 does.
func (e *Etcd) Kill() {
	_ = e.process.Process.Kill()
	_ = e.process.Wait()
}

// Lose deletes the data of the server, after Kill.
func (e *Etcd) Lose(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(e.dir); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
