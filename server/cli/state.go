package cli

import (
	"context"
	"time"

	"gcp-metadata-emulator/keys"
)

// checkStateEvery is the time between two looks at the state directory.
const checkStateEvery = 5 * time.Second

// mindState looks at the state directory from time to time. If somebody has removed the directory,
// it is thus written again even if nobody asks for a key.
func mindState(ctx context.Context, ring *keys.Ring) {
	ticker := time.NewTicker(checkStateEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			ring.Check()
		case <-ctx.Done():
			return
		}
	}
}

// tellOfState logs problems with files of the state directory.
func (e *emulator) tellOfState(ctx context.Context) func(error) {
	return func(trouble error) {
		e.logger.WarnContext(ctx, "something is wrong with the state directory", append([]any{"error", trouble}, hintOf(trouble)...)...)
	}
}
