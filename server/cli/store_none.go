//go:build !cluster

package cli

import (
	"context"
	"log/slog"
)

// open refuses to use a store.
func (f storeFlags) open(context.Context, *slog.Logger) (joining, func(), error) {
	return nil, func() {}, needsCluster("--store")
}
