package journal

import (
	"context"

	"gcp-metadata-emulator/server/reason"
)

// Refusal says why a request was refused by a rule, or would have been refused if the rule were
// enforced.
type Refusal struct {
	Code    reason.Code
	Caller  string // the principal, as policies name it
	Reason  string // one sentence
	Hint    string // the change to make
	Missing *Missing
}

type refusalKey struct{}

// Watched returns a context with a place for the refusal of a request. The place stays empty until a call
// of Refuse.
func Watched(ctx context.Context) (context.Context, *Refusal) {
	place := &watched{Context: ctx}
	return place, &place.refusal
}

// watched is a context with a place for a refusal. Most requests need such a place, although they are not
// refused. A type for both halves the allocations of a separate context and place.
type watched struct {
	context.Context //nolint:containedctx // the parent

	refusal Refusal
}

// Value implements context.Context.
func (w *watched) Value(key any) any {
	if _, isRefusal := key.(refusalKey); isRefusal {
		return &w.refusal
	}
	return w.Context.Value(key)
}

// Refuse notes the reason of a refusal, for the request's exchange. The first refusal counts. Refuse
// returns false if there is a refusal already, or if the context is not Watched.
func Refuse(ctx context.Context, refusal Refusal) bool {
	place, watched := ctx.Value(refusalKey{}).(*Refusal)
	if !watched || place.Reason != "" {
		return false
	}
	*place = refusal
	return true
}

// Explain adds to an exchange why its request was refused.
func (e *Exchange) Explain(refusal *Refusal) {
	if refusal != nil && refusal.Reason != "" {
		e.Code, e.Caller, e.Reason, e.Missing = refusal.Code, refusal.Caller, refusal.Reason, refusal.Missing
		if e.Hint = refusal.Hint; e.Hint == "" {
			e.Hint = refusal.Code.Hint()
		}
	}
}
