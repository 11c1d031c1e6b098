package servertest

import "net/http"

// State returns the current world, with all changes, as a fixture in JSON. SetState, [YAML] and
// the flag --fixture accept it.
func (e *Emulator) State() []byte {
	e.t.Helper()
	fixture, err := e.call(http.MethodGet, "state", nil)
	if err != nil {
		e.t.Fatalf("servertest: describe the world: %v", err)
	}
	return fixture
}

// SetState replaces the world until a reset. The fixture is YAML or JSON and must not name files.
// Requests that wait for values that change are woken.
func (e *Emulator) SetState(fixture []byte) {
	e.t.Helper()
	if _, err := e.call(http.MethodPut, "state", fixture); err != nil {
		e.t.Fatalf("servertest: replace the world: %v", err)
	}
}

// Reset restores the world and the machine's time of the start. It removes all faults and
// revocations, and clears the journal. Keys stay.
func (e *Emulator) Reset() { _ = e.server.Reset() } // fails only with replicas
