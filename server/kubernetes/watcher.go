//go:build cluster

package kubernetes

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"gcp-metadata-emulator/server/lru"
	"gcp-metadata-emulator/server/world"
)

// Config configures a watcher. All fields but Node and Patience are required.
type Config struct {
	Pods     cache.ListerWatcher // of the pods to follow
	Accounts cache.ListerWatcher // of the service accounts of all namespaces
	Into     Into                // gets the pods and accounts
	Changed  func()              // called after a pod has got another identity or was removed
	Logger   *slog.Logger
	Node     string // of the pods to follow, for error messages; empty: of all nodes

	// Patience is how long a request from an unknown address waits for the pod to be seen; zero means 2 s.
	Patience time.Duration
}

// Into takes the pods and the service accounts of a cluster, as [world.Pods] does.
type Into interface {
	Put(pod world.Pod)
	Remove(pod string)
	Annotate(account, google string) (changed bool)
	RemoveAccount(account string)
	HasAccount(account string) bool
}

const (
	defaultPatience = 2 * time.Second
	// urgentPause is the least time between two calls of Changed for other identities: a script may edit
	// thousands of annotations, and each call wakes every request that waits.
	urgentPause = 100 * time.Millisecond
	// removalsPause is the time between two calls of Changed for removed pods. They are not urgent,
	// and each call costs every waiting request a look.
	removalsPause = time.Second
	// maxImpatient limits the number of addresses that do not wait again, because a request from there
	// has waited in vain.
	maxImpatient = 1024
)

// Watcher follows the pods and the service accounts of a cluster. It is safe for concurrent use.
type Watcher struct {
	config Config
	index  *index

	pods, accounts *watch
	impatient      *lru.Cache[string, time.Time] // when a request from an address has waited in vain
	strange        sync.Map                      // the annotations that are no e-mail address, by NAMESPACE/NAME

	urgent  chan struct{} // gets a value if an identity has changed
	removed chan struct{} // gets a value if a pod was removed
}

// New returns a watcher that sees nothing before Run.
func New(config Config) *Watcher {
	if config.Patience == 0 {
		config.Patience = defaultPatience
	}
	w := &Watcher{
		config: config, index: newIndex(), impatient: lru.New[string, time.Time](maxImpatient),
		urgent: make(chan struct{}, 1), removed: make(chan struct{}, 1),
	}
	w.pods = newWatch("pods", config.Pods, config.Logger)
	w.accounts = newWatch("service accounts", config.Accounts, config.Logger)
	return w
}

// Run follows the cluster until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, logr.Discard()) // the watches log all that users need
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { w.pods.run(ctx, &corev1.Pod{}, transform(stripPod), handlers(w.podChanged)) })
	group.Go(func() {
		w.accounts.run(ctx, &corev1.ServiceAccount{}, transform(stripAccount), handlers(w.accountChanged))
	})
	w.report(ctx)
}

// report calls Changed until ctx ends. For a changed identity it does so at once, or a moment after the
// previous call; for removed pods, now and then.
func (w *Watcher) report(ctx context.Context) {
	urgent := w.urgent
	var pause, later <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-urgent:
			urgent, pause = nil, time.After(urgentPause)
		case <-pause:
			urgent, pause = w.urgent, nil
			continue
		case <-w.removed:
			if later == nil {
				later = time.After(removalsPause)
			}
			continue
		case <-later:
			later = nil
		}
		w.config.Changed()
	}
}

// signal puts a value into a channel, unless it is full.
func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// event is a change of an object. nil stands for an object that does not exist.
type event[T any] struct {
	before, after *T
	listed        bool // the object was there already when the watch began
}

// handlers returns the handler of an informer, which calls changed.
func handlers[T any](changed func(event[T])) cache.ResourceEventHandler {
	object := func(seen any) *T {
		if last, unknown := seen.(cache.DeletedFinalStateUnknown); unknown {
			seen = last.Obj
		}
		one, _ := seen.(*T)
		return one
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(after any, listed bool) { changed(event[T]{after: object(after), listed: listed}) },
		UpdateFunc: func(before, after any) { changed(event[T]{before: object(before), after: object(after)}) },
		DeleteFunc: func(before any) { changed(event[T]{before: object(before)}) },
	}
}

// podChanged records the new state of a pod. The index names a pod only while the world has the same
// pod, because another pod with the name of a removed pod may have another account.
func (w *Watcher) podChanged(news event[corev1.Pod]) {
	was, is := w.index.claim(claimOf(news.before).uid), claimOf(news.after)
	is.listed = news.listed
	if news.before != nil && was.is(is) {
		return // most news of a pod are about its containers
	}
	if was.uid != is.uid {
		w.index.remove(was.uid)
	}
	if is.isKnown() {
		w.config.Into.Put(world.Pod{Name: is.pod, Node: news.after.Spec.NodeName, Account: is.account, Addresses: is.addresses})
	}
	if news.after != nil {
		w.index.put(is)
	}
	if !was.isKnown() {
		return
	}
	if !is.isKnown() {
		w.config.Into.Remove(was.pod)
	}
	signal(w.removed) // another pod may have the name
}

// accountChanged records the new state of a service account.
func (w *Watcher) accountChanged(news event[corev1.ServiceAccount]) {
	before, after := news.before, news.after
	if after == nil {
		name := before.Namespace + "/" + before.Name
		w.strange.Delete(name)
		w.config.Into.RemoveAccount(name)
		signal(w.urgent)
		return
	}
	name, google := after.Namespace+"/"+after.Name, after.Annotations[annotation]
	if !isAccount(google) {
		if _, known := w.strange.Swap(name, google); !known {
			w.config.Logger.Warn("a service account of Kubernetes is annotated with something else than an e-mail address; its pods are refused",
				"account", name, "annotation", google)
		}
		w.config.Into.RemoveAccount(name)
		signal(w.urgent)
		return
	}
	w.strange.Delete(name)
	if w.config.Into.Annotate(name, google) {
		signal(w.urgent)
	}
	w.index.added()
}

// transform adapts a function for informers, which call it for every object.
func transform[T any](strip func(*T) *T) cache.TransformFunc {
	return func(seen any) (any, error) {
		if one, ok := seen.(*T); ok {
			return strip(one), nil
		}
		return seen, nil
	}
}

// run follows the objects of a type until ctx ends.
func (s *watch) run(ctx context.Context, of runtime.Object, strip cache.TransformFunc, handler cache.ResourceEventHandler) {
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: s.observed(), ObjectType: of, Handler: handler, Transform: strip,
	})
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			s.synced.Store(true)
		}
	}()
	informer.RunWithContext(ctx)
}

// Health reports whether the first pods have been seen, so that requests can be answered, and the
// problem, if any.
func (w *Watcher) Health() (ready bool, problem string) {
	ready = true
	var problems []string
	for _, one := range []*watch{w.pods, w.accounts} {
		failure := one.failure.Load()
		switch {
		case failure != nil:
			problems = append(problems, "the "+one.of+" of the cluster cannot be watched: "+*failure)
		case !one.synced.Load():
			problems = append(problems, "the "+one.of+" of the cluster have not been seen yet")
		}
		ready = ready && one.synced.Load()
	}
	return ready, strings.Join(problems, "; ")
}

// Lost returns the number of watches that are lost at the moment.
func (w *Watcher) Lost() int {
	lost := 0
	for _, one := range []*watch{w.pods, w.accounts} {
		if one.failure.Load() != nil {
			lost++
		}
	}
	return lost
}

// Addresses returns the number of addresses of pods.
func (w *Watcher) Addresses() int { return w.index.size() }
