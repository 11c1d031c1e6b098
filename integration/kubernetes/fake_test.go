//go:build cluster

package kubernetes_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"sync"
	"testing"
	"time"

	watched "gcp-metadata-emulator/server/kubernetes"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
)

// fakeAPI plays an API server: over HTTP, the emulator gets the objects of client-go's fake clientset, and
// the keys of the tokens. Every client may read everything, and objects are sent in JSON.
type fakeAPI struct {
	t      *testing.T
	signer *fakeSigner
	fake   *fake.Clientset
	server *httptest.Server

	mu      sync.Mutex
	streams map[*stream]bool  // all that run
	next    map[string]listed // by kind
	lists   int               // the number of lists so far
}

// listed is a list that was sent, with the stream of the changes after it.
type listed struct {
	version string
	stream  *stream
}

func newFakeAPI(t *testing.T) cluster {
	t.Helper()
	// The other fake takes ten times as long, because it also knows the owners of fields.
	a := &fakeAPI{t: t, fake: fake.NewSimpleClientset(), streams: map[*stream]bool{}, next: map[string]listed{}}
	a.signer = newFakeSigner(t, a.fake)
	a.fake.PrependReactor("*", "*", func(clienttesting.Action) (bool, apiruntime.Object, error) {
		a.awaitRoom()
		return false, nil, nil
	})
	a.serve("127.0.0.1:0")
	t.Cleanup(func() { a.server.Close() })
	return a
}

func (a *fakeAPI) client() kubernetes.Interface { return a.fake }

func (a *fakeAPI) sources() *watched.Client {
	a.t.Helper()
	client, err := watched.Connect(kubeconfig(a.t, a.server.URL, adminToken))
	if err != nil {
		a.t.Fatal(err)
	}
	return client
}

func (a *fakeAPI) serve(at string) {
	a.t.Helper()
	a.server = &httptest.Server{Listener: listen(a.t, at), Config: &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}}
	a.server.Start()
}

// kill breaks all connections, and refuses new ones.
func (a *fakeAPI) kill() {
	_ = a.server.Listener.Close()
	a.server.CloseClientConnections()
	a.server.Close()
}

// start serves at the same address again.
func (a *fakeAPI) start() { a.serve(a.server.Listener.Addr().String()) }

func (a *fakeAPI) forget() { a.fake.ClearActions() }

// ServeHTTP answers the requests of the emulator.
func (a *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch {
	case r.URL.Path == "/.well-known/openid-configuration":
		a.send(w, map[string]any{"issuer": issuer})
	case r.URL.Path == "/openid/v1/jwks":
		w.Header().Set("Content-Type", "application/jwk-set+json")
		a.send(w, a.signer.keys())
	case query.Has("sendInitialEvents"): // as an API server that cannot begin a watch with a list
		w.WriteHeader(http.StatusUnprocessableEntity)
	case query.Has("watch"):
		a.watch(w, r)
	default:
		a.list(w, r)
	}
}

func (a *fakeAPI) send(w http.ResponseWriter, document any) {
	text, err := json.Marshal(document)
	if err != nil {
		a.t.Error(err)
	}
	_, _ = w.Write(append(text, '\n')) // an error comes from a client that has gone
}

// list answers with the objects of a kind. The watch after it gets the changes from now on.
func (a *fakeAPI) list(w http.ResponseWriter, r *http.Request) {
	kind := path.Base(r.URL.Path)
	kinds := map[string]string{"pods": "Pod", "serviceaccounts": "ServiceAccount"}
	selector, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		a.t.Error(err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	resource := corev1.SchemeGroupVersion.WithResource(kind)
	news, err := a.fake.Tracker().Watch(resource, "")
	if err != nil {
		a.t.Error(err)
	}
	version := a.open(kind, newStream(news, func(one apiruntime.Object) bool { return selector.Matches(fieldsOf(one)) }))
	list, err := a.fake.Tracker().List(resource, corev1.SchemeGroupVersion.WithKind(kinds[kind]), "")
	if err != nil {
		a.t.Error(err)
	}
	all, err := meta.ExtractList(list)
	if err != nil {
		a.t.Error(err)
	}
	var chosen []apiruntime.Object
	for _, one := range all {
		if selector.Matches(fieldsOf(one)) {
			chosen = append(chosen, one)
		}
	}
	if err := meta.SetList(list, chosen); err != nil {
		a.t.Error(err)
	}
	if of, err := meta.ListAccessor(list); err == nil {
		of.SetResourceVersion(version)
	}
	w.Header().Set("Content-Type", "application/json")
	a.send(w, json.RawMessage(a.encode(list)))
}

// fieldsOf returns the fields of an object by which requests choose.
func fieldsOf(one apiruntime.Object) fields.Set {
	if pod, ok := one.(*corev1.Pod); ok {
		return fields.Set{"spec.nodeName": pod.Spec.NodeName}
	}
	return nil
}

func (a *fakeAPI) encode(object apiruntime.Object) []byte {
	text, err := apiruntime.Encode(scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), object)
	if err != nil {
		a.t.Error(err)
	}
	return text
}

// open runs a stream of a kind, and returns the version of the list at which it begins.
func (a *fakeAPI) open(kind string, opened *stream) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if before, ok := a.next[kind]; ok {
		before.stream.stop()
	}
	a.lists++
	version := strconv.Itoa(a.lists)
	a.next[kind], a.streams[opened] = listed{version, opened}, true
	go func() {
		opened.run()
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.streams, opened)
	}()
	return version
}

// watch sends the changes after a list, as long as the client listens.
func (a *fakeAPI) watch(w http.ResponseWriter, r *http.Request) {
	kind := path.Base(r.URL.Path)
	a.mu.Lock()
	last := a.next[kind]
	delete(a.next, kind)
	a.mu.Unlock()
	if last.stream == nil || last.version != r.URL.Query().Get("resourceVersion") {
		w.WriteHeader(http.StatusGone) // it lists again
		return
	}
	defer last.stream.stop()
	w.Header().Set("Content-Type", "application/json")
	control := http.NewResponseController(w)
	_ = control.Flush()
	for {
		select {
		case event := <-last.stream.events:
			a.send(w, map[string]any{"type": event.Type, "object": json.RawMessage(a.encode(event.Object))})
			_ = control.Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// awaitRoom returns when streams have taken most events: the fake panics if a hundred are left.
func (a *fakeAPI) awaitRoom() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for running := range a.streams {
		running.awaitRoom()
	}
}
