//go:build cluster

package kubernetes_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"gcp-metadata-emulator/server/world"
)

// An address goes on to the next pod at once.
func TestAddressesAreUsedAgain(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, *rig){"late news": lateNews, "older pod": olderPod} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { run(t, start(t)) })
		})
	}
}

// lateNews tells late that the pod before has ended.
func lateNews(_ *testing.T, r *rig) {
	r.account("first", google)
	r.account("second", another)
	first := newPod("first", "10.4.0.5")
	r.pods.Add(first)
	synctest.Wait()
	r.expect("10.4.0.5", "first.web as "+google)

	time.Sleep(time.Minute)
	second := newPod("second", "10.4.0.5")
	r.pods.Add(second)
	synctest.Wait()
	r.expect("10.4.0.5", "second.web as "+another)
	late := first.DeepCopy()
	late.Labels = map[string]string{"edited": "late"}
	r.pods.Modify(late)
	synctest.Wait()
	r.expect("10.4.0.5", "second.web as "+another)
	r.pods.Delete(late)
	synctest.Wait()
	r.expect("10.4.0.5", "second.web as "+another)

	ended := second.DeepCopy()
	ended.Status.Phase = corev1.PodSucceeded
	r.pods.Modify(ended)
	synctest.Wait()
	r.expect("10.4.0.5", "no pod has the address 10.4.0.5")

	moved := newPod("moved", "10.4.0.6")
	r.account("moved", google)
	r.pods.Add(moved)
	synctest.Wait()
	moved = moved.DeepCopy()
	moved.Status.PodIP, moved.Status.PodIPs = "10.4.0.7", nil
	r.pods.Modify(moved)
	synctest.Wait()
	r.expect("10.4.0.7", "moved.web as "+google)
	r.expect("10.4.0.6", "no pod has the address 10.4.0.6")
}

// edited returns a pod with other addresses.
func edited(pod *corev1.Pod, addresses ...string) *corev1.Pod {
	after := pod.DeepCopy()
	after.Status.PodIP, after.Status.PodIPs = "", newPod("", addresses...).Status.PodIPs
	return after
}

// olderPod gives an address to a pod that is older than the pod before. The order of the pods' claims
// decides, and not their age. If a pod gives the address up, the pod before gets it back.
func olderPod(t *testing.T, r *rig) {
	t.Helper()
	r.account("old", google)
	r.account("young", another)
	old := newPod("old")
	r.pods.Add(old)
	time.Sleep(time.Minute)
	young := newPod("young", "10.4.0.5", "fd00::5")
	r.pods.Add(young)
	synctest.Wait()
	r.expect("10.4.0.5", "young.web as "+another)

	old = edited(old, "10.4.0.5")
	r.pods.Modify(old)
	synctest.Wait()
	r.expect("10.4.0.5", "old.web as "+google)
	r.expect("fd00::5", "young.web as "+another)
	young = edited(young, "10.4.0.5", "10.4.0.6") // it still claims the address, which is not new
	r.pods.Modify(young)
	synctest.Wait()
	r.expect("10.4.0.5", "old.web as "+google)
	r.expect("10.4.0.6", "young.web as "+another)
	r.expect("fd00::5", "no pod has the address fd00::5")
	r.pods.Modify(edited(old, "10.4.0.7"))
	synctest.Wait()
	r.expect("10.4.0.5", "young.web as "+another)
	r.pods.Modify(old)
	synctest.Wait()
	r.expect("10.4.0.5", "old.web as "+google)
	r.pods.Modify(edited(young, "10.4.0.8"))
	synctest.Wait()
	r.expect("10.4.0.5", "old.web as "+google)
	r.pods.Delete(old)
	synctest.Wait()
	r.expect("10.4.0.5", "no pod has the address 10.4.0.5")
	if r.Addresses() != 1 {
		t.Errorf("%d addresses, want that of the young pod", r.Addresses())
	}
}

// If several pods claim an address at the start, the youngest has it.
func TestFirstList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := prepare(t)
		for i, name := range []string{"b", "c", "a"} { // a list has them by name
			one := newPod(name, "10.4.0.5")
			one.CreationTimestamp.Time = one.CreationTimestamp.Add(time.Duration(i%2) * time.Hour)
			r.pods.Add(one)
			r.account(name, google)
		}
		r.run()
		synctest.Wait()
		r.expect("10.4.0.5", "c.web as "+google)
	})
}

// A pod with the name of a removed pod may have another account. No address leads to the name before the
// emulator has the new pod.
func TestPodWithTheNameOfAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.account("web", google)
		r.account("other", another)
		first := newPod("web", "10.4.0.5")
		r.pods.Add(first)
		synctest.Wait()
		r.expect("10.4.0.5", "web.web as "+google)

		var early []string
		r.into.putting = func(one world.Pod) {
			gone, cancel := context.WithCancel(context.Background())
			cancel() // nothing waits
			for _, address := range []string{"10.4.0.5", "10.4.0.6"} {
				if name, refusal := r.At(gone, netip.MustParseAddr(address)); refusal == nil {
					early = append(early, fmt.Sprintf("%s is %s while its account becomes %s", address, name, one.Account))
				}
			}
		}
		second := newPod("web", "10.4.0.6")
		second.UID, second.Spec.ServiceAccountName = "another uid", "other"
		r.pods.Modify(second) // as after a new list, which does not tell of the removal
		synctest.Wait()
		if early != nil {
			t.Error(early)
		}
		r.expect("10.4.0.6", "web.web as "+another)
		r.expect("10.4.0.5", "no pod has the address 10.4.0.5")
	})
}

// Many edits of annotations together wake the requests that wait a few times. A single edit wakes them
// at once.
func TestManyEdits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		const count = 100
		var accounts []*corev1.ServiceAccount
		for i := range count {
			accounts = append(accounts, r.account(fmt.Sprintf("web-%d", i), google))
		}
		synctest.Wait()
		for _, one := range accounts {
			after := one.DeepCopy()
			after.Annotations["iam.gke.io/gcp-service-account"] = another
			r.accounts.Modify(after)
			synctest.Wait()
		}
		if got := r.changes.Load(); got != 1 {
			t.Errorf("%d changes after %d edits, want the first at once", got, count)
		}
		time.Sleep(time.Second)
		if got := r.changes.Load(); got != 2 {
			t.Errorf("%d changes, want 2: the first edit and all others", got)
		}
	})
}
