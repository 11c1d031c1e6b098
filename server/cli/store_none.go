//go:build !cluster

package cli

import (
	"context"
	"log/slog"

	"gcp-metadata-emulator/server/records"
)

// open refuses to use a store.
func (f storeFlags) open(context.Context, *slog.Logger) (records.Store, func(), error) {
	return nil, nil, needsCluster("--store")
}
