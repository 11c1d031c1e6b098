package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"time"

	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/script"
)

// happening is a change of the tree, as an entry of a fixture's scenario.
type happening struct {
	At  string         `json:"at"` // after the beginning of the recording
	Set map[string]any `json:"set"`
}

const (
	longestWait = time.Minute     // that one request asks for
	pollEvery   = 5 * time.Second // of a server without ETags, which cannot wait
)

// watch waits for changes of the tree until the time is over, the context ends or the limit is reached.
func (r *recorder) watch(ctx context.Context, began time.Time) ([]happening, error) {
	var scenario []happening
	known := r.document
	for until := r.options.Now().Add(r.options.For); ; {
		left := until.Sub(r.options.Now())
		if left <= 0 {
			return scenario, nil
		}
		answer, err := r.next(ctx, min(left, longestWait))
		switch {
		case ctx.Err() != nil || errors.Is(err, script.ErrLimit):
			return scenario, nil //nolint:nilerr // what was seen so far counts
		case err != nil || answer.Status != http.StatusOK:
			pause(ctx, pollEvery) // a metadata server is not available for a moment during a migration
			continue
		}
		r.etag, _ = answer.Header("ETag")
		current, err := compare.ReadDocument(answer)
		if err != nil {
			return scenario, fmt.Errorf("while it was watched: %w", err)
		}
		if set := changes("", known.Tree, current.Tree); len(set) > 0 {
			at := r.options.Now().Sub(began).Truncate(time.Millisecond)
			scenario = append(scenario, happening{At: at.String(), Set: set})
		}
		known = current
	}
}

// next returns the tree when it has changed, or after a while.
func (r *recorder) next(ctx context.Context, while time.Duration) (script.Answer, error) {
	if r.etag == "" {
		pause(ctx, min(while, pollEvery))
		return r.client.Ask(ctx, script.Get(root+"?recursive=true"))
	}
	seconds := max(1, int(while/time.Second))
	request := fmt.Sprintf("%s?recursive=true&wait_for_change=true&timeout_sec=%d&last_etag=%s", root, seconds, r.etag)
	return r.client.AskFor(ctx, script.Get(request), while)
}

// requestsOfWatch returns the number of requests that a watch may send: one for each wait that ends without a
// change, one for each look at a server that cannot wait, and a hundred for changes.
func requestsOfWatch(while time.Duration) int {
	const forChanges = 100
	return forChanges + int(while/pollEvery)
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

// changes returns the values that turn one tree into another, by their paths. If an entry is gone, the
// directory above it is one value.
func changes(path string, before, after map[string]any) map[string]any {
	set := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		at := name
		if path != "" {
			at = path + "/" + name
		}
		was, had := before[name]
		if had && reflect.DeepEqual(was, after[name]) {
			continue
		}
		older, isObject := was.(map[string]any)
		newer, stays := after[name].(map[string]any)
		if isObject && stays && (path == "" || keeps(older, newer)) {
			maps.Copy(set, changes(at, older, newer))
			continue
		}
		set[at] = after[name]
	}
	return set
}

// keeps reports whether all entries of one object are in another.
func keeps(older, newer map[string]any) bool {
	for name := range older {
		if _, ok := newer[name]; !ok {
			return false
		}
	}
	return true
}
