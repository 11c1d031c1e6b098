//go:build cluster

package kubernetes_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"gcp-metadata-emulator/server/kubernetes"
)

// connected returns a client of an API server, which it reaches by a kubeconfig file.
func connected(t *testing.T, server http.Handler) *kubernetes.Client {
	t.Helper()
	served := httptest.NewServer(server)
	t.Cleanup(served.Close)
	file := filepath.Join(t.TempDir(), "config")
	config := `{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],
  users: [{name: a, user: {token: t}}], clusters: [{name: a, cluster: {server: "` + served.URL + `"}}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.Connect(file)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// The API server is asked for the pods of a node if the configuration names a node, and always for the
// service accounts of all namespaces.
func TestSources(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	client := connected(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path + " of " + r.URL.Query().Get("fieldSelector")
		w.Header().Set("Content-Type", "application/json")
		kind := map[string]string{"/api/v1/pods": "PodList", "/api/v1/serviceaccounts": "ServiceAccountList"}[r.URL.Path]
		_, _ = w.Write([]byte(`{"apiVersion": "v1", "kind": "` + kind + `", "metadata": {"resourceVersion": "1"}}`))
	}))
	want := []string{"/api/v1/pods of ", "/api/v1/pods of spec.nodeName=node-1", "/api/v1/serviceaccounts of "}
	var got []string
	for _, source := range []cache.ListerWatcher{client.Pods(""), client.Pods("node-1"), client.Accounts()} {
		if _, err := cache.ToListerWatcherWithContext(source).ListWithContext(t.Context(), metav1.ListOptions{}); err != nil {
			t.Error(err)
		}
		got = append(got, <-asked)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
