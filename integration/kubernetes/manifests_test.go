//go:build cluster

package kubernetes_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const manifests = "../../scripts/kubernetes"

// built returns what kubectl apply -k would send, by kind.
func built(t *testing.T, dir string) map[string][]any {
	t.Helper()
	if err := monitoringv1.AddToScheme(scheme.Scheme); err != nil {
		t.Fatal(err)
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	content, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string][]any{}
	for _, object := range decode(t, dir, content) {
		kind := object.GetObjectKind().GroupVersionKind().Kind
		kinds[kind] = append(kinds[kind], object)
	}
	return kinds
}

// Each folder is a kustomization with these kinds of objects, and no field that its API does not have.
func TestManifests(t *testing.T) {
	for folder, want := range map[string]string{
		"plain":     "Deployment Job Service",
		"base":      "ClusterRole ClusterRoleBinding Deployment Namespace NetworkPolicy Service ServiceAccount",
		"daemonset": "ClusterRole ClusterRoleBinding ConfigMap DaemonSet Namespace ServiceAccount",
		"rbac":      "ClusterRole ClusterRoleBinding ServiceAccount",
	} {
		kinds := built(t, filepath.Join(manifests, folder))
		if got := strings.Join(slices.Sorted(maps.Keys(kinds)), " "); got != want {
			t.Errorf("%s has %s, want %s", folder, got, want)
		}
		for _, one := range kinds["ClusterRole"] {
			var may []string
			for _, rule := range one.(*rbacv1.ClusterRole).Rules {
				may = append(may, strings.Join(slices.Concat(rule.Resources, rule.NonResourceURLs, rule.Verbs), " "))
			}
			if want := []string{"pods serviceaccounts list watch", "/.well-known/openid-configuration /openid/v1/jwks get"}; !slices.Equal(may, want) {
				t.Errorf("%s: the emulator may %q, want %q", folder, may, want)
			}
		}
	}
}

// The strict decoding finds a field with a typing error.
func TestManifestsAreDecodedStrictly(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(manifests, "base", "deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for field, accepted := range map[string]bool{"readinessProbe": true, "readynessProbe": false} {
		_, err := decodeAll([]byte(strings.Replace(string(content), "readinessProbe", field, 1)))
		if (err == nil) != accepted {
			t.Errorf("with the field %q: %v", field, err)
		}
	}
}

// The components change a kustomization of a user.
func TestComponents(t *testing.T) {
	dir := t.TempDir()
	absolute, err := filepath.Abs(manifests)
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(dir, absolute)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"kustomization.yaml": "resources: [app.yaml]\ncomponents: [" + relative + "/sidecar, " + relative + "/monitoring]\n",
		"app.yaml": `
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker, labels: {metadata-server: sidecar}}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: worker, image: worker, env: [{name: GCE_METADATA_HOST, value: "127.0.0.1:8254"}]}]}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kinds := built(t, dir)
	if len(kinds["PodMonitor"]) != 1 || len(kinds["Deployment"]) != 1 {
		t.Fatalf("there are %v", slices.Sorted(maps.Keys(kinds)))
	}
	pod := kinds["Deployment"][0].(*appsv1.Deployment).Spec.Template.Spec
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 1 || *pod.InitContainers[0].RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Errorf("the pod has the containers %+v and %+v", pod.InitContainers, pod.Containers)
	}
}
