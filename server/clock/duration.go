package clock

import (
	"fmt"
	"time"
)

// Duration is a time.Duration whose text form is like "1h30m" or "250ms".
type Duration time.Duration

// MarshalText returns the duration as text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration from text.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`%q is not a duration: write it like "250ms", "2s" or "1h30m"`, text)
	}
	*d = Duration(parsed)
	return nil
}
