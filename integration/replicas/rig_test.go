package replicas_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gcp-metadata-emulator/server/records/recordstest"
)

var (
	rounds   = flag.Int("rounds", 5, "how many times TestKills kills a process")
	emulator string // the program, built with the tag "cluster"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "replicas")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		emulator = filepath.Join(dir, "emulator")
		build := exec.Command("go", "build", "-tags", "cluster", "-o", emulator, ".")
		build.Dir, build.Stderr = filepath.Join("..", ".."), os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "replicas:", err)
		return 1
	}
	return m.Run()
}

// replica is a process that shares its world with others.
type replica struct {
	name, address, store string
	flags                []string
	log                  *bytes.Buffer // read it only after the process has ended
	process              *exec.Cmd
}

// newReplicas starts replicas a, b and c at a server.
func newReplicas(t *testing.T, server *recordstest.Etcd) []*replica {
	t.Helper()
	var all []*replica
	for _, name := range []string{"a", "b", "c"} {
		all = append(all, newReplica(t, name, server.Address))
	}
	return all
}

func newReplica(t testing.TB, name, store string, flags ...string) *replica {
	t.Helper()
	r := &replica{name: name, store: "etcd://" + store + "/" + t.Name(), flags: flags}
	r.start(t)
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("the log of replica %s:\n%s", name, r.log)
		}
	})
	return r
}

// start starts the process, and waits until it is ready.
func (r *replica) start(t testing.TB) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "url")
	r.log = &bytes.Buffer{}
	arguments := append([]string{"serve", "--ephemeral", "--listen", "127.0.0.1:0", "--url-file", file, "--store", r.store, "--store-timeout", "30s"}, r.flags...)
	r.process = exec.Command(emulator, arguments...)
	r.process.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	if cores := os.Getenv("GOMAXPROCS"); cores != "" {
		r.process.Env = append(r.process.Env, "GOMAXPROCS="+cores)
	}
	r.process.Stderr = r.log
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "replica "+r.name+" is ready", func() bool {
		text, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		r.address = strings.TrimPrefix(strings.TrimSpace(string(text)), "http://")
		status, _ := r.try(http.MethodGet, "/emulator/v1/readyz", "")
		return status == http.StatusOK
	})
}

// kill ends the process at once.
func (r *replica) kill() {
	_ = r.process.Process.Signal(syscall.SIGKILL)
	_ = r.process.Wait()
}

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for !holds() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// try sends a request, and returns status 0 if there is no answer.
func (r *replica) try(method, path, body string) (int, string) {
	request, err := http.NewRequest(method, "http://"+r.address+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	request.Header.Set("Metadata-Flavor", "Google")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// call sends a request that must succeed.
func (r *replica) call(t *testing.T, method, path, body string) string {
	t.Helper()
	status, text := r.try(method, path, body)
	if status != http.StatusOK {
		t.Fatalf("replica %s answers %s %s with status %d: %s", r.name, method, path, status, text)
	}
	return text
}

// post sends a form, and returns the members of the answer.
func (r *replica) post(path string, form url.Values) (int, map[string]any) {
	response, err := http.PostForm("http://"+r.address+path, form)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	var members map[string]any
	_ = json.NewDecoder(response.Body).Decode(&members)
	return response.StatusCode, members
}

func (r *replica) set(key, value string) (int, string) {
	return r.try(http.MethodPut, "/emulator/v1/instances/-/metadata/instance/attributes/"+key, fmt.Sprintf(`{"value": %q}`, value))
}

func (r *replica) attribute(key string) string {
	_, text := r.try(http.MethodGet, "/computeMetadata/v1/instance/attributes/"+key, "")
	return text
}

const identity = "/computeMetadata/v1/instance/service-accounts/default/identity?audience="
