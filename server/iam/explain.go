package iam

// Explanation says what a binding, of which a principal is a member, means for a question.
type Explanation struct {
	Binding Binding
	Member  string // the member of the binding that stands for the principal
	Gives   bool   // the role includes the permission
	Holds   bool   // the condition holds, or there is none
}

// Grants reports whether the binding answers the question with yes.
func (e Explanation) Grants() bool { return e.Gives && e.Holds }

// Explain returns what each binding means whose members include the principal. The policy grants the
// permission if one of them does.
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
