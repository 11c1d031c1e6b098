//go:build cluster

package kubernetes_test

import (
	"context"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

// The emulator watches a fake API server. Its pods and accounts are the same objects as a real one's.
func TestFakeCluster(t *testing.T) {
	s := beginFake(t)
	s.identities()
	s.edits()
	const burst = 40 // the fake panics when a watch is a hundred events late
	s.churn(500, burst)
}

// beginFake starts an emulator that watches a fake API server.
func beginFake(t *testing.T) *scene {
	t.Helper()
	client := fake.NewClientset()
	var watching sync.WaitGroup // the fake has no versions: it forgets what happens between list and watch
	watching.Add(len([]string{"pods", "accounts"}))
	s := begin(t, client, sources{
		pods: &source{&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (apiruntime.Object, error) {
				return client.CoreV1().Pods("").List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				defer watching.Done()
				return client.CoreV1().Pods("").Watch(ctx, options)
			},
		}},
		accounts: &source{&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (apiruntime.Object, error) {
				return client.CoreV1().ServiceAccounts("").List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				defer watching.Done()
				return client.CoreV1().ServiceAccounts("").Watch(ctx, options)
			},
		}},
	})
	watching.Wait()
	return s
}

// source is a source without versions, as a fake's.
type source struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported makes informers list before they watch.
func (*source) IsWatchListSemanticsUnSupported() bool { return true }
