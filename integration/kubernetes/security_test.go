//go:build cluster

package kubernetes_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// violations returns the rules of Kubernetes' level "restricted" that a pod breaks. The container
// of a user that runs beside the emulator is left out.
func violations(t *testing.T, pod corev1.PodSpec) []string {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pod.Containers = slices.DeleteFunc(slices.Clone(pod.Containers), func(one corev1.Container) bool { return one.Image == usersImage })
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	var broken []string
	for _, result := range evaluator.EvaluatePod(restricted, &metav1.ObjectMeta{}, &pod) {
		if !result.Allowed {
			broken = append(broken, result.ForbiddenReason+" ("+result.ForbiddenDetail+")")
		}
	}
	slices.Sort(broken)
	return broken
}

// templates returns the pods of all objects.
func templates(kinds map[string][]any) map[string]corev1.PodSpec {
	pods := map[string]corev1.PodSpec{}
	for kind, objects := range kinds {
		for _, object := range objects {
			switch one := object.(type) {
			case *appsv1.Deployment:
				pods[kind] = one.Spec.Template.Spec
			case *appsv1.DaemonSet:
				pods[kind] = one.Spec.Template.Spec
			case *batchv1.Job:
				pods[kind] = one.Spec.Template.Spec
			case *corev1.Pod:
				pods[kind] = one.Spec
			}
		}
	}
	return pods
}

// Pods keep to the rules of namespaces of the level "restricted". Only the redirect on a node needs
// more.
func TestPodSecurity(t *testing.T) {
	ofNode := []string{
		`host namespaces (hostNetwork=true)`,
		`runAsNonRoot != true (pod or containers "redirect", "undo" must set securityContext.runAsNonRoot=true)`,
		`runAsUser=0 (containers "redirect", "undo" must not set runAsUser=0)`,
		`unrestricted capabilities (containers "redirect", "undo" must not include "NET_ADMIN" in securityContext.capabilities.add)`,
	}
	users := builtOfUser(t)
	for name, test := range map[string]struct {
		kinds map[string][]any
		pods  int
		want  []string
	}{
		"base":      {built(t, filepath.Join(manifests, "base")), 1, nil},
		"plain":     {built(t, filepath.Join(manifests, "plain")), 2, nil},
		"sidecar":   {users, 1, nil},
		"README":    {readmePods(t), 1, nil},
		"daemonset": {built(t, filepath.Join(manifests, "daemonset")), 1, ofNode},
	} {
		pods := templates(test.kinds)
		if len(pods) != test.pods {
			t.Errorf("%s has %d pods, want %d", name, len(pods), test.pods)
		}
		for kind, pod := range pods {
			if got := violations(t, pod); !slices.Equal(got, test.want) {
				t.Errorf("%s: %s breaks the rules\n%s\nwant\n%s", name, kind, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			for _, one := range slices.Concat(pod.InitContainers, pod.Containers) {
				if c := one.SecurityContext; one.Image != usersImage && (c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem) {
					t.Errorf("%s: %s: %s may write to its root", name, kind, one.Name)
				}
			}
		}
	}
}

// A namespace demands the level that its pods need.
func TestPodSecurityOfNamespaces(t *testing.T) {
	for folder, want := range map[string]api.Level{"base": api.LevelRestricted, "daemonset": api.LevelPrivileged} {
		namespace := built(t, filepath.Join(manifests, folder))["Namespace"][0].(*corev1.Namespace)
		if got := namespace.Labels[api.EnforceLevelLabel]; got != string(want) {
			t.Errorf("%s: the namespace has the level %q, want %q", folder, got, want)
		}
	}
}

// usersImage is the image of the containers that stand for a user's.
const usersImage = "YOUR-IMAGE"

// readmePods returns the pods that scripts/README.md describes.
func readmePods(t *testing.T) map[string][]any {
	t.Helper()
	const file = "../../scripts/README.md"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string][]any{}
	for _, block := range strings.Split(string(content), "```yml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if !strings.HasPrefix(block, "apiVersion:") {
			continue // it is for another program
		}
		for _, object := range decode(t, file, []byte(block)) {
			kind := object.GetObjectKind().GroupVersionKind().Kind
			kinds[kind] = append(kinds[kind], object)
		}
	}
	return kinds
}
