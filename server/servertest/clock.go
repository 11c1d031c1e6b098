package servertest

import "time"

// Now is the emulator's time.
func (e *Emulator) Now() time.Time { return e.server.Clock.Now() }

// Freeze makes the clock stand.
func (e *Emulator) Freeze() { e.server.Clock.Freeze() }

// Unfreeze makes the clock go on from where it stands.
func (e *Emulator) Unfreeze() { e.server.Clock.Run() }

// Advance puts the clock on. Tokens, keys, caches and waiting requests go by it.
func (e *Emulator) Advance(by time.Duration) {
	e.t.Helper()
	if err := e.server.Clock.Advance(by); err != nil {
		e.t.Fatalf("servertest: %v", err)
	}
}

// SetTime puts the clock to another time, which may be earlier.
func (e *Emulator) SetTime(now time.Time) {
	e.t.Helper()
	if err := e.server.Clock.Set(now); err != nil {
		e.t.Fatalf("servertest: %v", err)
	}
}
