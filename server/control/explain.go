package control

import (
	"net/http"

	"gcp-metadata-emulator/server/explain"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// ExplainLately says in sentences what happened lately.
func (s *Server) ExplainLately(*http.Request) (wire.Response, error) {
	remembered := s.journal.Since(0)
	now, machine := s.clock.Both()
	window := explain.Window{
		Exchanges: remembered.Exchanges, Dropped: remembered.Dropped,
		Now: now, Machine: machine, Frozen: s.clock.Frozen(),
	}
	for _, waiter := range s.waiters() {
		window.Waiters = append(window.Waiters, explain.Waiter{Instance: waiter.Instance, Since: waiter.Since})
	}
	return googleapi.JSON(struct {
		Findings []explain.Finding `json:"findings"`
	}{explain.Explain(window)}), nil
}
