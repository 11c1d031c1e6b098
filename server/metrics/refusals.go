package metrics

import "sync"

// otherReason stands for the reasons beyond maxReasons.
const (
	otherReason = "other"
	maxReasons  = 100
)

// reasons are the reasons that label time series.
type reasons struct {
	mu    sync.Mutex
	known map[string]bool
}

// label returns the label of a reason. The emulator chooses its reasons from a vocabulary; the limit
// holds even if one of them came from a request.
func (r *reasons) label(reason string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.known[reason]:
	case len(r.known) >= maxReasons:
		return otherReason
	case r.known == nil:
		r.known = map[string]bool{reason: true}
	default:
		r.known[reason] = true
	}
	return reason
}

// ObserveRefusal counts a request that was refused for a reason. The outcome is "refused", or
// "audited" if the request was answered all the same.
func (r *Requests) ObserveRefusal(reason, outcome string) {
	r.refusals.WithLabelValues(r.reasons.label(reason), outcome).Inc()
}
