package cli

import (
	"context"
	"log/slog"
	"time"
)

const (
	moment   = 2 * time.Second  // for which work may be silent
	reminder = 10 * time.Second // between two lines about work that goes on
)

// tellProgress logs slow work, with its known progress, until done is called.
func tellProgress(ctx context.Context, logger *slog.Logger, work string, far func() []any) (done func()) {
	begun := time.Now()
	over, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		late := time.NewTimer(moment)
		defer late.Stop()
		for lines := 0; ; lines++ {
			select {
			case <-over:
				if lines > 0 {
					logger.InfoContext(ctx, "done", append([]any{"work", work, "took", time.Since(begun).Round(time.Millisecond)}, far()...)...)
				}
				return
			case <-late.C:
				logger.InfoContext(ctx, "still working", append([]any{"work", work, "since", time.Since(begun).Round(time.Millisecond)}, far()...)...)
				late.Reset(reminder)
			}
		}
	}()
	return func() {
		close(over)
		<-told
	}
}

// nothingKnown is for work that cannot say how far it is.
func nothingKnown() []any { return nil }
