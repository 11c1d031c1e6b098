package journal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/journal"
)

// A filter survives its way through a query, and the query names every field.
func TestFilterInQuery(t *testing.T) {
	t.Parallel()
	filter := journal.Filter{
		Route: "mds.*", Instance: "vm", Account: "a@example.com", Audience: "https://x", Status: "5xx",
		From: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	}
	query := filter.Query()
	var names []string
	var read journal.Filter
	for name := range query {
		names = append(names, name)
		var known bool
		var err error
		if read, known, err = read.With(name, query.Get(name)); !known || err != nil {
			t.Errorf("With(%q): %v, %v", name, known, err)
		}
	}
	if diff := cmp.Diff(journal.Parameters(), slices.Sorted(slices.Values(names))); diff != "" {
		t.Errorf("parameters (-known +in the query):\n%s", diff)
	}
	if diff := cmp.Diff(filter, read); diff != "" {
		t.Errorf("filter (-sent +read):\n%s", diff)
	}
	if empty := (journal.Filter{}).Query(); len(empty) > 0 {
		t.Errorf("the query of an empty filter is %v", empty)
	}
}

func TestFilterRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, value, want string
		known             bool
	}{
		{"status", "503", "", true},
		{"status", "5xx", "", true},
		{"status", "55xx", `"55xx" is not a status; write 503 or 5xx`, true},
		{"status", "ok", `"ok" is not a status; write 503 or 5xx`, true},
		{"since", "yesterday", `"yesterday" is not an RFC 3339 time`, true},
		{"path", "/", "", false},
	} {
		_, known, err := journal.Filter{}.With(test.name, test.value)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if known != test.known || message != test.want {
			t.Errorf("With(%q, %q) = %v, %q, want %v, %q", test.name, test.value, known, message, test.known, test.want)
		}
	}
}
