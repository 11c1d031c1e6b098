package record_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/compare"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/record"
)

// If a recording ends early, for any reason and at any request, it says so, and its content so far can be
// played.
func TestEndedEarly(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		does  func(w http.ResponseWriter, cancel func()) (isAnswer bool)
		why   string
		tried int // requests after the end
	}{
		"an interrupt":    {func(_ http.ResponseWriter, cancel func()) bool { cancel(); return false }, "it was interrupted", 0},
		"a lost server":   {func(http.ResponseWriter, func()) bool { panic(http.ErrAbortHandler) }, "5 requests in a row had no answer", compare.Patience - 1},
		"a gateway":       {func(w http.ResponseWriter, _ func()) bool { w.WriteHeader(http.StatusBadGateway); return true }, "the last of them: status 502", compare.Patience - 1},
		"the limit":       {func(http.ResponseWriter, func()) bool { return false }, "", 0},
		"a short silence": {nil, "", 0},
	} {
		for _, after := range []int{2, 5, 9, 20, 33} {
			t.Run(name+" after "+strconv.Itoa(after), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				var requests atomic.Int64
				d := newDouble()
				d.tree = vm(map[string]any{"a": "b", "password": "swordfish"}, nil)
				served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n := int(requests.Add(1))
					if end.does == nil && n == after {
						panic(http.ErrAbortHandler)
					}
					if end.does == nil || n < after || !end.does(w, cancel) {
						d.ServeHTTP(w, r)
					}
				}))
				defer served.Close()
				options := record.Options{Real: emulatortest.Must[*url.URL](t)(url.Parse(served.URL)), Limit: 60, Now: time.Now}
				if name == "the limit" {
					options.Limit = after
				}
				recording := emulatortest.Must[record.Recording](t)(record.Run(ctx, options))
				checkEnded(t, recording, end.why, after+end.tried)
				if isLimited := recording.LeftOut > 0; isLimited != (name == "the limit") {
					t.Errorf("%d requests are left out", recording.LeftOut)
				}
				if isLacking := recording.Unanswered == 1; name == "a short silence" && !isLacking {
					t.Errorf("%d requests have no answer", recording.Unanswered)
				}
				again := emulate(t, fixtures.Files{Recording: written(t, recording)})
				if _, body := again.Metadata(t, "instance/attributes/?recursive=true"); body != `{"a":"REDACTED-VALUE-1","password":"REDACTED-VALUE-2"}` {
					t.Errorf("the attributes are %s", body)
				}
			})
		}
	}
}

// checkEnded checks why and after how many requests a recording ended. Without a reason, it did not end early.
func checkEnded(t *testing.T, recording record.Recording, why string, requests int) {
	t.Helper()
	switch {
	case why == "":
		if recording.Ended != nil {
			t.Errorf("it ended early: %s", recording.Ended)
		}
	case recording.Ended == nil || !strings.Contains(recording.Ended.String(), why) || !strings.HasPrefix(recording.Ended.At, "GET /"):
		t.Errorf("the end is %v, want %q", recording.Ended, why)
	case recording.Requests != requests:
		t.Errorf("it ended after %d requests, want %d", recording.Requests, requests)
	}
}

// A watch goes on while the server is silent, and says so if the server is silent at the end.
func TestSilenceDuringAWatch(t *testing.T) {
	t.Parallel()
	const forever = 1 << 30
	for name, test := range map[string]struct {
		silent, changes int // requests that the server does not answer; changes that are seen
		isLacking       bool
	}{
		"for a moment": {compare.Patience + 1, 1, false},
		"to the end":   {forever, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDouble()
			d.header = http.Header{"ETag": {"00c61b00c61b00c6"}}
			d.changes = []map[string]any{vm(map[string]any{"late": "x"}, nil)}
			var waits atomic.Int64
			d.asked = func(r *http.Request) {
				if !r.URL.Query().Has("wait_for_change") {
					return
				}
				if waits.Add(1) <= int64(test.silent) {
					panic(http.ErrAbortHandler)
				}
			}
			recording := recorded(t, d, record.Options{For: time.Minute, Secrets: true, Limit: 60, Now: ticking()})
			if recording.Changes != test.changes || (recording.Silent > 0) != test.isLacking {
				t.Errorf("%d changes are recorded, and the server is silent for %s", recording.Changes, recording.Silent)
			}
		})
	}
}
