//go:build cluster

package kubernetes_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"gcp-metadata-emulator/server/kubernetes"
)

// older is an API server that refuses to begin a watch with the list.
type older struct {
	*source

	refused atomic.Int64
}

func (o *older) Watch(options metav1.ListOptions) (apiwatch.Interface, error) {
	if options.SendInitialEvents == nil {
		return o.source.Watch(options)
	}
	o.refused.Add(1)
	at := field.Forbidden(field.NewPath("sendInitialEvents"), "the feature gate is not enabled")
	return nil, apierrors.NewInvalid(schema.GroupKind{Kind: "ListOptions"}, "", field.ErrorList{at})
}

// IsWatchListSemanticsUnSupported makes informers try to begin a watch with the list.
func (*older) IsWatchListSemanticsUnSupported() bool { return false }

// An API server that refuses to begin a watch with the list is heard all the same: nothing is lost, and the log
// does not say so.
func TestOlderServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := prepare(t)
		pods, accounts := &older{source: r.pods}, &older{source: r.accounts}
		r.configure(func(c *kubernetes.Config) { c.Pods, c.Accounts = pods, accounts })
		r.run()
		r.account("web", google)
		r.pods.Add(newPod("web", "10.4.0.5"))
		synctest.Wait()
		time.Sleep(time.Second) // the informers are asked now and then whether they have seen all
		r.expect("10.4.0.5", "web.web as "+google)
		if ready, problem := r.Health(); !ready || problem != "" || r.Lost() != 0 {
			t.Errorf("health: %v, %s; %d lost", ready, problem, r.Lost())
		}
		if pods.refused.Load() == 0 || accounts.refused.Load() == 0 {
			t.Error("the watcher has not tried to begin a watch with the list")
		}
		synctest.Wait() // nobody writes into the log now
		if log := r.log.String(); strings.Contains(log, "watch") {
			t.Errorf("the log: %s", log)
		}
	})
}
