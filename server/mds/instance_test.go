package mds_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

func (r *rig) replace(t *testing.T, yaml string) {
	t.Helper()
	replacement := worldtest.Parse(t, yaml)
	r.edit(t, func(*world.World) (*world.World, error) { return replacement, nil })
}

func requestTo(t *testing.T, method, host, path string, body io.Reader) *http.Request {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, "/computeMetadata/v1/"+path, body)
	request.Header.Set("Metadata-Flavor", "Google")
	request.Host = host
	return request
}

// A request that waits on an instance never gets another instance's data, also when a reload
// removes the instance or all others.
func TestInstanceThatGoesIsNobodyElse(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]string{
		"several stay": "instances: [{name: new-vm}, {name: third-vm}]",
		"one stays":    "instances: [{name: new-vm}]",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rig := newRig(t)
				named := rig.send(t, requestTo(t, http.MethodGet, "other-vm.localhost", "instance/name"+wait, http.NoBody))
				unnamed := rig.get(t, t.Context(), "instance/name"+wait)
				waiting(t, named)
				waiting(t, unnamed)
				rig.replace(t, left)
				for _, answered := range []<-chan wire.Response{named, unnamed} {
					if got := answer(t, answered); got.Status != http.StatusServiceUnavailable {
						t.Errorf("status %d, %q; want 503", got.Status, got.Body)
					}
				}
			})
		})
	}
}

// A request keeps its instance, although the default instance changes.
func TestDefaultThatMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		waiter := rig.get(t, t.Context(), "instance/attributes/a"+wait)
		waiting(t, waiter)
		rig.replace(t, `instances: [{name: new-vm, metadata: {instance: {attributes: {a: "7"}}}}, {name: demo-vm, metadata: {instance: {attributes: {a: "1"}}}}]`)
		waiting(t, waiter)
		rig.set(t, "demo-vm", "instance/attributes/a", "2")
		if got := answer(t, waiter); got.Body != "2" {
			t.Errorf("answered with %q, want 2", got.Body)
		}
	})
}

// reloading is a request body with an end that replaces the world.
type reloading struct {
	io.Reader

	reload func()
}

func (r *reloading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		r.reload()
	}
	return n, err
}

func TestGuestOfInstanceThatGoes(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	body := &reloading{bytes.NewReader([]byte("v")), func() {
		rig.replace(t, "instances: [{name: demo-vm, metadata: {instance: {attributes: {enable-guest-attributes: yes}}}}]")
	}}
	put := requestTo(t, http.MethodPut, "limited-vm.localhost", "instance/guest-attributes/ns/k", body)
	response, err := rig.Metadata(put)
	if err != nil || response.Status != http.StatusServiceUnavailable {
		t.Errorf("status %d, %v; want 503", response.Status, err)
	}
	w := rig.worlds.Load().State
	if value, err := w.Metadata(w.DefaultInstance(), "instance/guest-attributes/ns/k"); err == nil {
		t.Errorf("another instance got the value %v", value)
	}
}

// Google's host names mean the default instance, even if an instance has such a name.
func TestGooglesNamesAreNobodys(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	rig.replace(t, "instances: [{name: first}, {name: metadata}, {name: iamcredentials}]")
	for host, want := range map[string]string{
		"metadata.google.internal": "first", "metadata": "first", "metadata.goog:80": "first", "iamcredentials.googleapis.com": "first",
		"metadata.localhost": "metadata", "iamcredentials.localhost:8254": "iamcredentials", "nobody.localhost": "first",
	} {
		response, err := rig.Metadata(requestTo(t, http.MethodGet, host, "instance/name", http.NoBody))
		if err != nil || response.Body != want {
			t.Errorf("%s: %q, %v; want %q", host, response.Body, err, want)
		}
	}
}

// The first instance set for a connection counts.
func TestAddressWinsOverHost(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	r := requestTo(t, http.MethodGet, "demo-vm.localhost", "instance/name", http.NoBody)
	ctx := workloads.Named(workloads.Named(r.Context(), "other-vm", workloads.ByListener), "demo-vm", workloads.ByHost)
	if response, err := rig.Metadata(r.WithContext(ctx)); err != nil || response.Body != "other-vm" {
		t.Errorf("%q, %v; want other-vm", response.Body, err)
	}
}

// Guest attributes are enabled by an attribute of the instance or of the project.
func TestGuestAttributesOfProject(t *testing.T) {
	t.Parallel()
	for project, want := range map[string]int{"TRUE": 0, "true/": http.StatusForbidden, "FALSE": http.StatusForbidden} {
		rig := newRig(t)
		rig.replace(t, "project: {attributes: {enable-guest-attributes: \""+project+"\"}}\ninstances: [{name: a}]")
		response, err := rig.Metadata(requestTo(t, http.MethodGet, "localhost", "instance/guest-attributes/", http.NoBody))
		if err != nil || response.Status != want {
			t.Errorf("project says %q: status %d, %v; want %d", project, response.Status, err, want)
		}
	}
	rig := newRig(t)
	rig.replace(t, "project: {attributes: {enable-guest-attributes: yes}}\ninstances: [{name: a, metadata: {instance: {attributes: {enable-guest-attributes: no}}}}]")
	if response, err := rig.Metadata(requestTo(t, http.MethodGet, "localhost", "instance/guest-attributes/", http.NoBody)); err != nil || response.Status != http.StatusForbidden {
		t.Errorf("the instance says no: status %d, %v", response.Status, err)
	}
}

// The value of the header must match exactly.
func TestFlavorIsExact(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	for flavor, want := range map[string]int{
		"Google": 0, "google": http.StatusForbidden, "GOOGLE": http.StatusForbidden, "Google ": http.StatusForbidden, "": http.StatusForbidden, "Googles": http.StatusForbidden,
	} {
		r := requestTo(t, http.MethodGet, "localhost", "instance/name", http.NoBody)
		r.Header.Set("Metadata-Flavor", flavor)
		if response, err := rig.Metadata(r); err != nil || response.Status != want {
			t.Errorf("%q: status %d, %v; want %d", flavor, response.Status, err, want)
		}
	}
}

// A request's body is read before the request waits. Endless bodies are refused.
func TestBodyOfWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rig := newRig(t)
		body := strings.NewReader("hello")
		waiter := rig.send(t, requestTo(t, http.MethodGet, "localhost", "instance/attributes/a"+wait, body))
		waiting(t, waiter)
		if body.Len() > 0 {
			t.Errorf("%d bytes of the body are left", body.Len())
		}
		rig.set(t, "demo-vm", "instance/attributes/a", "2")
		answer(t, waiter)
	})
	rig := newRig(t)
	endless := strings.NewReader(strings.Repeat("x", 2*wire.MaxBody))
	if _, err := rig.Metadata(requestTo(t, http.MethodGet, "localhost", "instance/attributes/a"+wait, endless)); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("a body without an end: %v, want ErrTooLarge", err)
	}
	broken := io.MultiReader(strings.NewReader("x"), &failing{})
	if _, err := rig.Metadata(requestTo(t, http.MethodGet, "localhost", "instance/attributes/a"+wait, broken)); !errors.Is(err, wire.ErrUnread) {
		t.Errorf("a body that breaks off: %v, want ErrUnread", err)
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errors.New("the client has gone") }

// patience limits a wait that would otherwise have no end. It is far longer than any step takes on a
// busy machine.
const patience = 5 * time.Minute

// A waiter ends with its client, with any body, complete or not.
func TestClientThatGoes(t *testing.T) {
	t.Parallel()
	const head = "GET /computeMetadata/v1/instance/attributes/a" + wait + " HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n"
	for name, raw := range map[string]string{
		"without a body": head + "\r\n",
		"a body":         head + "Content-Length: 5\r\n\r\nhello",
		"half a body":    head + "Content-Length: 5\r\n\r\nhe",
		"chunks":         head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"half a chunk":   head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t)
			begun, ended := make(chan struct{}), make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(begun)
				ctx, cancel := context.WithCancel(r.Context())
				t.Cleanup(cancel)                       // for a test that fails to end
				_, _ = rig.Metadata(r.WithContext(ctx)) // nobody is left to be answered
				close(ended)
			}))
			t.Cleanup(server.Close)
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, raw); err != nil {
				t.Fatal(err)
			}
			<-begun
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(patience):
				t.Error("the request still waits")
			}
		})
	}
}
