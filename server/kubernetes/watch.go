//go:build cluster

package kubernetes

import (
	"context"
	"log/slog"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// watch watches one kind of objects.
type watch struct {
	of     string // the kind of objects, in the plural
	source cache.ListerWatcher
	logger *slog.Logger

	synced  atomic.Bool            // all objects of the start have been seen
	failure atomic.Pointer[string] // why nothing is heard; nil: the watch works, or has not begun
}

func newWatch(of string, source cache.ListerWatcher, logger *slog.Logger) *watch {
	return &watch{of: of, source: source, logger: logger}
}

// observed returns the source of the watch. Its calls show whether the API server answers.
func (s *watch) observed() cache.ListerWatcher {
	from := cache.ToListerWatcherWithContext(s.source)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := from.ListWithContext(ctx, options)
			if err != nil {
				s.heard(ctx, err)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
			stream, err := from.WatchWithContext(ctx, options)
			if !refusesList(err, options) {
				s.heard(ctx, err)
			}
			return stream, err
		},
	}, s.source)
}

// refusesList reports whether an API server cannot begin a watch with the list of all objects. Older servers
// cannot. The informer then lists the objects, and watches them without a list.
func refusesList(err error, options metav1.ListOptions) bool {
	return options.SendInitialEvents != nil && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err))
}

// heard notes the end of an attempt to watch or to list. A watch that works ends the loss.
func (s *watch) heard(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the emulator is stopping
	}
	if err == nil {
		if s.failure.Swap(nil) != nil {
			s.logger.InfoContext(ctx, "watching a cluster again", "objects", s.of)
		}
		return
	}
	text := err.Error()
	if s.failure.Swap(&text) == nil {
		s.logger.WarnContext(ctx, "cannot watch a cluster; still serving what was seen", "objects", s.of, "error", err,
			"hint", "check that the API server runs, and that this program may list and watch these objects")
	}
}
