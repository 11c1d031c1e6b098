//go:build cluster

package kubernetes

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"gcp-metadata-emulator/fixtures"
)

// annotation names the Google service account as which the pods of a Kubernetes service account run
// (https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity).
const annotation = "iam.gke.io/gcp-service-account"

// isAccount reports whether the value of the annotation can be used. If there is no annotation, the
// value is empty.
func isAccount(google string) bool { return google == "" || fixtures.IsEmail(google) }

// defaultAccount is the Kubernetes service account of a pod that names no account, such as the pods
// that a kubelet starts from files.
const defaultAccount = "default"

// claimOf returns a pod's addresses. If a pod has ended, it has no addresses, although the API server
// still lists them.
func claimOf(pod *corev1.Pod) claim {
	if pod == nil {
		return claim{}
	}
	c := claim{
		pod: pod.Name + "." + pod.Namespace, account: pod.Namespace + "/" + cmp.Or(pod.Spec.ServiceAccountName, defaultAccount),
		uid: string(pod.UID), created: pod.CreationTimestamp.Time, onNetwork: pod.Spec.HostNetwork,
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return c
	}
	for _, ip := range append(pod.Status.PodIPs, corev1.PodIP{IP: pod.Status.PodIP}) {
		address, err := netip.ParseAddr(ip.IP)
		if address = address.Unmap(); err == nil && !slices.Contains(c.addresses, address) {
			c.addresses = append(c.addresses, address)
		}
	}
	return c
}

// stripPod returns the part of a pod for the watcher, a twentieth of the whole.
func stripPod(pod *corev1.Pod) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta: pod.TypeMeta, ObjectMeta: stripMeta(pod.ObjectMeta),
		Spec:   corev1.PodSpec{NodeName: pod.Spec.NodeName, ServiceAccountName: pod.Spec.ServiceAccountName, HostNetwork: pod.Spec.HostNetwork},
		Status: corev1.PodStatus{Phase: pod.Status.Phase, PodIP: pod.Status.PodIP, PodIPs: pod.Status.PodIPs},
	}
}

// stripAccount returns the part of a service account that the watcher needs.
func stripAccount(account *corev1.ServiceAccount) *corev1.ServiceAccount {
	stripped := &corev1.ServiceAccount{TypeMeta: account.TypeMeta, ObjectMeta: stripMeta(account.ObjectMeta)}
	if google, annotated := account.Annotations[annotation]; annotated {
		stripped.Annotations = map[string]string{annotation: google}
	}
	return stripped
}

func stripMeta(meta metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion, CreationTimestamp: meta.CreationTimestamp,
	}
}
