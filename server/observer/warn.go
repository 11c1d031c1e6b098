package observer

import (
	"log/slog"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
)

// crowd is the number of clients and hosts that are remembered after a warning.
const crowd = 256

// level returns the level at which the log has a refused request. A name or a method that nobody plays is
// worth a warning, once for each client and host: the client cannot work, and rarely says why.
func (o *Observer) level(e *journal.Exchange) slog.Level {
	if e.Code != reason.NotPlayed && e.Code != reason.NotProxied {
		return slog.LevelInfo
	}
	if told, _ := o.warned.ContainsOrAdd(e.UserAgent+" "+e.Host, struct{}{}); told {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}
