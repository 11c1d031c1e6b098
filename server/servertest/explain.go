package servertest

import (
	"net/http"

	"gcp-metadata-emulator/server/explain"
)

// Explain describes the latest events in sentences, as far as the journal has them.
func (e *Emulator) Explain() []explain.Finding {
	e.t.Helper()
	var answer struct {
		Findings []explain.Finding `json:"findings"`
	}
	if err := e.ask(http.MethodGet, "explain", nil, &answer); err != nil {
		e.t.Fatalf("servertest: explain what happened: %v", err)
	}
	return answer.Findings
}
