package record

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/script"
)

// MaxChanges is how many changes are recorded. An emulator plays up to 1,000 events at a time.
const MaxChanges = 900

const longestWait = time.Minute // that one request asks for

// watch waits for changes of the tree until the time is over, the context ends or there are too many changes.
func (r *recorder) watch(ctx context.Context, began time.Time) error {
	known := r.document
	r.client.Limit, r.client.Patience, r.client.Interval = 0, 0, max(r.client.Interval, r.options.Pace)
	for until := r.options.Now().Add(r.options.For); ; {
		left := until.Sub(r.options.Now())
		if left <= 0 {
			return nil
		}
		if len(r.changes) >= MaxChanges {
			r.unwatched = left
			return nil
		}
		answer, err := r.next(ctx, min(left, longestWait))
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the changes so far count
		}
		current, odd := compare.ReadDocument(answer)
		if err != nil || odd != nil {
			r.miss(ctx)
			continue
		}
		r.silentSince = time.Time{}
		r.etag, _ = answer.Header("ETag")
		if err := r.change(ctx, known, current, began); err != nil {
			return err
		}
		known = current
	}
}

// miss waits after a request without a proper answer: a metadata server is not available for a moment during a
// migration.
func (r *recorder) miss(ctx context.Context) {
	if r.silentSince.IsZero() {
		r.silentSince = r.options.Now()
	}
	pause(ctx, r.options.Poll)
}

// change keeps the server's current document if it differs from the known document.
func (r *recorder) change(ctx context.Context, known, current *compare.Document, began time.Time) error {
	if reflect.DeepEqual(known.Tree, current.Tree) {
		return nil
	}
	r.changes = append(r.changes, change{r.options.Now().Sub(began).Truncate(time.Millisecond), string(current.Whole)})
	return r.save(ctx)
}

// next returns the tree when it has changed, or after a while.
func (r *recorder) next(ctx context.Context, while time.Duration) (script.Answer, error) {
	if r.etag == "" { // the server cannot wait
		pause(ctx, min(while, r.options.Poll))
		return r.client.Ask(ctx, script.Get(root+"?recursive=true"))
	}
	seconds := max(1, int(while/time.Second))
	request := fmt.Sprintf("%s?recursive=true&wait_for_change=true&timeout_sec=%d&last_etag=%s", root, seconds, r.etag)
	return r.client.AskFor(ctx, script.Get(request), while)
}

// pause waits for a while, or until the context ends.
func pause(ctx context.Context, while time.Duration) {
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
