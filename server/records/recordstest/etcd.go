package recordstest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Etcd is a server of etcd, for a test.
type Etcd struct {
	Address string // HOST:PORT for clients

	program, dir   string
	scheme         string
	peers, metrics string // HOST:PORT
	flags          []string
	name, cluster  string // of the server, and of all that are one store
	process        *exec.Cmd
	said           *bytes.Buffer // by the process; complete when it has ended
	ended          chan struct{} // closed when the process has ended
}

// StartEtcd starts a server of etcd that ends with the test. The variable ETCD names the program. If it
// is not set, the program is the machine's "etcd", or else the one built from the module
// integration/etcd.
func StartEtcd(t testing.TB) *Etcd {
	t.Helper()
	return start(t, "http")
}

// TLS names the files, in PEM, with which a server of etcd uses TLS.
type TLS struct {
	Cert, Key string // of the server
	ClientCA  string // of the authority that certificates of clients must be from
}

// StartSecureEtcd is StartEtcd for a server that only answers clients with a certificate.
func StartSecureEtcd(t testing.TB, files TLS) *Etcd {
	t.Helper()
	return start(t, "https", "--cert-file="+files.Cert, "--key-file="+files.Key, "--client-cert-auth", "--trusted-ca-file="+files.ClientCA)
}

func start(t testing.TB, scheme string, flags ...string) *Etcd {
	t.Helper()
	e := newEtcd(t, "test", scheme, flags...)
	e.cluster = e.member()
	e.Start(t)
	t.Cleanup(e.Kill)
	return e
}

func newEtcd(t testing.TB, name, scheme string, flags ...string) *Etcd {
	t.Helper()
	return &Etcd{
		program: program(t), dir: filepath.Join(t.TempDir(), "etcd"), scheme: scheme, name: name,
		Address: FreeAddress(t), peers: FreeAddress(t), metrics: FreeAddress(t), flags: flags,
	}
}

// member returns the description of this server for the other servers of its store.
func (e *Etcd) member() string { return e.name + "=http://" + e.peers }

// StartEtcds starts several servers of etcd with one store. They end with the test.
func StartEtcds(t testing.TB, count int) []*Etcd {
	t.Helper()
	all, members := make([]*Etcd, count), make([]string, count)
	for i := range all {
		all[i] = newEtcd(t, fmt.Sprint("test-", i), "http")
		members[i] = all[i].member()
	}
	for _, one := range all {
		one.cluster = strings.Join(members, ",")
		one.run(t)
		t.Cleanup(one.Kill)
	}
	for _, one := range all {
		one.await(t)
	}
	return all
}

// program returns the path of a program that is a server of etcd.
func program(t testing.TB) string {
	t.Helper()
	if named := os.Getenv("ETCD"); named != "" {
		return named
	}
	if found, err := exec.LookPath("etcd"); err == nil {
		return found
	}
	root := output(t, "go", "list", "-m", "-f", "{{.Dir}}", "gcp-metadata-emulator")
	return output(t, "go", "-C", filepath.Join(root, "integration", "etcd"), "tool", "-n", "go.etcd.io/etcd/server/v3")
}

// output returns the output of a command, without the end of the line.
func output(t testing.TB, name string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, arguments...)
	command.Stderr = t.Output()
	text, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return strings.TrimSpace(string(text))
}

// Start starts the server again after Kill, with the data that it had.
func (e *Etcd) Start(t testing.TB) {
	t.Helper()
	e.run(t)
	e.await(t)
}

func (e *Etcd) run(t testing.TB) {
	t.Helper()
	clients, peers := e.scheme+"://"+e.Address, "http://"+e.peers
	arguments := append([]string{
		"--name=" + e.name, "--data-dir=" + e.dir, "--log-level=error", "--listen-metrics-urls=http://" + e.metrics,
		"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=" + e.cluster,
	}, e.flags...)
	e.process = exec.Command(e.program, arguments...) //nolint:noctx // Kill ends it
	e.said = &bytes.Buffer{}
	e.process.Stdout, e.process.Stderr = e.said, e.said
	if err := e.process.Start(); err != nil {
		t.Fatal(err)
	}
	process, ended := e.process, make(chan struct{})
	e.ended = ended
	go func() {
		defer close(ended)
		_ = process.Wait()
	}()
}

// await waits until the server answers.
func (e *Etcd) await(t testing.TB) {
	t.Helper()
	for !e.isHealthy(t.Context()) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-e.ended:
			t.Fatalf("the server of etcd has ended: %v\n%s", e.process.ProcessState, e.said)
		case <-t.Context().Done():
			t.Fatal("the server of etcd does not answer")
		}
	}
}

func (e *Etcd) isHealthy(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.metrics+"/health", http.NoBody)
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
	<-e.ended
}

// Lose deletes the data of the server, after Kill.
func (e *Etcd) Lose(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(e.dir); err != nil {
		t.Fatal(err)
	}
}

// Backup copies the data of the server, after Kill. The function that it returns restores them, after Kill.
func (e *Etcd) Backup(t testing.TB) (restore func()) {
	t.Helper()
	kept := filepath.Join(t.TempDir(), "backup")
	move := func(from, to string) {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	move(e.dir, kept)
	return func() {
		e.Lose(t)
		move(kept, e.dir)
	}
}

// Elsewhere starts the server at another address, after Kill, so that no other process finds it
// there. back ends it, and starts the server at its own address again.
func (e *Etcd) Elsewhere(t testing.TB) (back func()) {
	t.Helper()
	home := e.Address
	e.Address = FreeAddress(t)
	e.Start(t)
	return func() {
		e.Kill()
		e.Address = home
		e.Start(t)
	}
}
