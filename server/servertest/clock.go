package servertest

import "time"

// Now returns the emulator's time.
func (e *Emulator) Now() time.Time { return e.server.Clock.Now() }

// Freeze stops the clock.
func (e *Emulator) Freeze() { e.server.Clock.Freeze() }

// Unfreeze lets a frozen clock run on.
func (e *Emulator) Unfreeze() { e.server.Clock.Run() }

// Advance moves the clock forward. Tokens, keys, caches and waiting requests follow the clock.
func (e *Emulator) Advance(by time.Duration) {
	e.t.Helper()
	if err := e.server.Clock.Advance(by); err != nil {
		e.t.Fatalf("servertest: %v", err)
	}
}

// SetTime sets the clock to another time, which may be in the past.
func (e *Emulator) SetTime(now time.Time) {
	e.t.Helper()
	if err := e.server.Clock.Set(now); err != nil {
		e.t.Fatalf("servertest: %v", err)
	}
}
