package servertest

import (
	"net/http"

	"gcp-metadata-emulator/server/explain"
)

// Explain says in sentences what happened lately, as far as the journal has it.
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
