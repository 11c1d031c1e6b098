package clock

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that is written, and read, as "1h30m" or "250ms".
type Duration time.Duration

// MarshalText writes a duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`%q is no duration: write "250ms", "2s" or "1h30m"`, text)
	}
	*d = Duration(parsed)
	return nil
}
