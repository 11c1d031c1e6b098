package iam

// Explanation describes the effect of a binding on a question. The principal is a member of the
// binding.
type Explanation struct {
	Binding Binding
	Member  string // the member of the binding that stands for the principal
	Gives   bool   // the role includes the permission
	Holds   bool   // the condition holds, or there is none
}

// Grants reports whether the binding answers the question with yes.
func (e Explanation) Grants() bool { return e.Gives && e.Holds }

// Explain returns the effect of each binding that has the principal as a member. If one of them
// grants the permission, so does the policy.
func (p *Policy) Explain(q Question) []Explanation {
	if p == nil {
		return nil
	}
	var list []Explanation
	for _, identity := range q.Identities {
		for _, g := range p.grants[identity] {
			list = append(list, Explanation{Binding: p.Bindings[g.binding], Member: identity, Gives: g.gives(q), Holds: g.holds(q)})
		}
	}
	return list
}
