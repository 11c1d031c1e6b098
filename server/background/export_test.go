package background

import "os"

// NewLogOf is NewLog with another size at which the log is cut.
func NewLogOf(files Files, out *os.File, most int64) *Log {
	log := NewLog(files, out)
	log.most = most
	return log
}
