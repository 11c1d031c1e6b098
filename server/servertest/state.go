package servertest

import "net/http"

// State is the world as it is, as a fixture in JSON, with all that was done to it: SetState, [YAML] and the flag --fixture
// take it.
func (e *Emulator) State() []byte {
	e.t.Helper()
	fixture, err := e.call(http.MethodGet, "state", nil)
	if err != nil {
		e.t.Fatalf("servertest: describe the world: %v", err)
	}
	return fixture
}

// SetState puts another world in the place of this one until a reset, as a fixture in YAML or JSON that names no files. Whoever
// waits for something that is different then is woken.
func (e *Emulator) SetState(fixture []byte) {
	e.t.Helper()
	if _, err := e.call(http.MethodPut, "state", fixture); err != nil {
		e.t.Fatalf("servertest: replace the world: %v", err)
	}
}

// Reset brings the emulator back to the world that it was started with: no changes of metadata, the
// machine's time, no faults, an empty journal, no revocations. Keys stay.
func (e *Emulator) Reset() { e.server.Reset() }
