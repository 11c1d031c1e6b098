package emulatortest

import (
	"encoding/json"
	"testing"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/journal"
)

// Fail adds a fault.
func (e *Emulator) Fail(t *testing.T, rule string) fault.Fault {
	t.Helper()
	var read fault.Rule
	if err := json.Unmarshal([]byte(rule), &read); err != nil {
		t.Fatal(err)
	}
	return Must[fault.Fault](t)(e.Faults.Add(read))
}

// Hits returns how often a fault has struck.
func (e *Emulator) Hits(t *testing.T, added fault.Fault) int {
	t.Helper()
	found, ok := e.Faults.Find(added.ID)
	if !ok {
		t.Errorf("there is no fault %s", added.ID)
	}
	return found.Hits
}

// Last returns the newest exchange in the journal.
func (e *Emulator) Last(t *testing.T) journal.Exchange {
	t.Helper()
	all := e.Journal.Since(0).Exchanges
	if len(all) == 0 {
		t.Fatal("nothing was written down")
	}
	return all[len(all)-1]
}
