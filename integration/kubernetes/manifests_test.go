//go:build cluster

package kubernetes_test

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const manifests = "../../scripts/kubernetes"

// built returns the objects of kubectl apply -k, by kind.
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
		"replicas":  "ClusterRole ClusterRoleBinding Deployment Namespace NetworkPolicy Service ServiceAccount",
		"daemonset": "ClusterRole ClusterRoleBinding ConfigMap DaemonSet Namespace ServiceAccount",
		"rbac":      "ClusterRole ClusterRoleBinding ServiceAccount",
	} {
		kinds := built(t, filepath.Join(manifests, folder))
		if got := strings.Join(slices.Sorted(maps.Keys(kinds)), " "); got != want {
			t.Errorf("%s has %s, want %s", folder, got, want)
		}
		for _, one := range kinds["ClusterRole"] {
			want := []rbacv1.PolicyRule{
				{APIGroups: []string{""}, Resources: []string{"pods", "serviceaccounts"}, Verbs: []string{"list", "watch"}},
				{NonResourceURLs: []string{"/.well-known/openid-configuration", "/openid/v1/jwks"}, Verbs: []string{"get"}},
			}
			if got := one.(*rbacv1.ClusterRole); !reflect.DeepEqual(got.Rules, want) || got.AggregationRule != nil {
				t.Errorf("%s: the emulator may %+v", folder, got)
			}
		}
	}
}

// Pods cannot reach the emulator's control plane, which issues tokens for any account. The kubelet and
// the command ready use the addresses at which it listens.
func TestControlPlaneIsClosed(t *testing.T) {
	for folder, pod := range emulatorPods(t) {
		emulator := pod.Containers[0]
		arguments := strings.Join(emulator.Args, " ")
		for _, want := range []string{"--listen [::]:8254", "--control-listen 127.0.0.1:8255", "--probe-listen [::]:8256"} {
			if !strings.Contains(arguments, want) {
				t.Errorf("%s: the arguments %s lack %s", folder, arguments, want)
			}
		}
		control := corev1.EnvVar{Name: "GCP_METADATA_EMULATOR_CONTROL_URL", Value: "http://127.0.0.1:8255"}
		if !slices.Contains(emulator.Env, control) {
			t.Errorf("%s: the environment %+v lacks %+v", folder, emulator.Env, control)
		}
		if live := emulator.LivenessProbe; live != nil && live.HTTPGet.Port.StrVal != "probes" {
			t.Errorf("%s: the liveness probe asks %+v", folder, live.HTTPGet)
		}
		for _, one := range append(pod.InitContainers, emulator) {
			if one.ImagePullPolicy != corev1.PullIfNotPresent {
				t.Errorf("%s: %s: the pull policy is %s", folder, one.Name, one.ImagePullPolicy)
			}
		}
	}
}

// A replica tells the others the address of its pod, at a port that only replicas reach.
func TestReplicasAskEachOther(t *testing.T) {
	kinds := built(t, filepath.Join(manifests, "replicas"))
	deployment := kinds["Deployment"][0].(*appsv1.Deployment)
	pod := deployment.Spec.Template.Spec
	emulator := pod.Containers[0]
	if arguments := strings.Join(emulator.Args, " "); *deployment.Spec.Replicas < 2 || !strings.HasSuffix(arguments, "--peer-listen [::]:8257 --advertise http://$(POD_IP):8257") ||
		strings.Contains(arguments, "--keys") || len(pod.Volumes)+len(emulator.VolumeMounts) > 0 {
		t.Errorf("%d replicas have the arguments %s and the volumes %+v", *deployment.Spec.Replicas, arguments, pod.Volumes)
	}
	if !slices.ContainsFunc(emulator.Env, func(v corev1.EnvVar) bool {
		return v.Name == "POD_IP" && v.ValueFrom != nil && v.ValueFrom.FieldRef.FieldPath == "status.podIP"
	}) {
		t.Errorf("the environment %+v lacks the address of the pod", emulator.Env)
	}
	from := map[string]networkingv1.NetworkPolicyPeer{}
	for _, one := range kinds["NetworkPolicy"] {
		for _, rule := range one.(*networkingv1.NetworkPolicy).Spec.Ingress {
			for _, port := range rule.Ports {
				from[port.Port.StrVal] = rule.From[0]
			}
		}
	}
	if peers := from["peers"]; peers.NamespaceSelector != nil || !reflect.DeepEqual(peers.PodSelector.MatchLabels, deployment.Spec.Template.Labels) {
		t.Errorf("what replicas ask is open to %+v", peers)
	}
	if len(from) != 3 {
		t.Errorf("pods reach the ports %v", slices.Sorted(maps.Keys(from)))
	}
}

// emulatorPods returns the pods that have an emulator for others, by folder.
func emulatorPods(t *testing.T) map[string]corev1.PodSpec {
	t.Helper()
	deployment := func(folder string) corev1.PodSpec {
		one := built(t, filepath.Join(manifests, folder))["Deployment"][0].(*appsv1.Deployment)
		spec := one.Spec.Template.Spec
		shares := slices.ContainsFunc(spec.Containers[0].Env, func(v corev1.EnvVar) bool { return v.Name == "GCP_METADATA_EMULATOR_STORE" })
		if replicas := *one.Spec.Replicas; replicas != 1 && !shares {
			t.Errorf("%s: %d replicas have keys of their own", folder, replicas)
		}
		return spec
	}
	daemons := built(t, filepath.Join(manifests, "daemonset"))["DaemonSet"][0].(*appsv1.DaemonSet)
	return map[string]corev1.PodSpec{"base": deployment("base"), "plain": deployment("plain"), "replicas": deployment("replicas"), "daemonset": daemons.Spec.Template.Spec}
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
	kinds := builtOfUser(t)
	if len(kinds["PodMonitor"]) != 1 || len(kinds["Deployment"]) != 1 {
		t.Fatalf("there are %v", slices.Sorted(maps.Keys(kinds)))
	}
	pod := kinds["Deployment"][0].(*appsv1.Deployment).Spec.Template.Spec
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 1 || *pod.InitContainers[0].RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Errorf("the pod has the containers %+v and %+v", pod.InitContainers, pod.Containers)
	}
}

// builtOfUser returns the objects of a user's kustomization with the components.
func builtOfUser(t *testing.T) map[string][]any {
	t.Helper()
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
    spec: {containers: [{name: worker, image: YOUR-IMAGE, env: [{name: GCE_METADATA_HOST, value: "127.0.0.1:8254"}]}]}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return built(t, dir)
}
