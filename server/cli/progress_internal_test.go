package cli

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Work is silent for a moment. Longer work tells how far it is, again after a while, and its end.
func TestProgress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		took time.Duration
		want string
	}{
		{time.Second, ""},
		{3 * time.Second, `level=INFO msg="still working" work="making keys" since=2s made=1
level=INFO msg=done work="making keys" took=3s made=2
`},
		{23 * time.Second, `level=INFO msg="still working" work="making keys" since=2s made=1
level=INFO msg="still working" work="making keys" since=12s made=2
level=INFO msg="still working" work="making keys" since=22s made=3
level=INFO msg=done work="making keys" took=23s made=4
`},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}}))
			made := 0
			done := tellProgress(t.Context(), logger, "making keys", func() []any {
				made++
				return []any{"made", made}
			})
			<-time.After(test.took)
			done()
			if diff := cmp.Diff(test.want, log.String()); diff != "" {
				t.Errorf("work of %v (-want +got):\n%s", test.took, diff)
			}
		})
	}
}
