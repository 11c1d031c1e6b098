package observer

import (
	"log/slog"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
)

// crowd is the number of clients and hosts that are remembered after a warning.
const crowd = 256

// level returns the level of a refused request in the log. If the emulator does not play a name or a
// method, this is worth a warning, once for each client and host: the client cannot work, and rarely
// gives the reason.
func (o *Observer) level(e *journal.Exchange) slog.Level {
	if e.Code != reason.NotPlayed && e.Code != reason.NotProxied {
		return slog.LevelInfo
	}
	if told, _ := o.warned.ContainsOrAdd(e.UserAgent+" "+e.Host, struct{}{}); told {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}
