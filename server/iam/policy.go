package iam

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Binding gives a role to members (https://cloud.google.com/iam/docs/reference/rest/v1/Policy#Binding).
type Binding struct {
	Role      string     `json:"role"`
	Members   []string   `json:"members"`
	Condition *Condition `json:"condition,omitempty"`
}

// Condition is an expression of the Common Expression Language on which a binding depends.
// It is kept and shown, and never evaluated: a binding with a condition grants nothing.
type Condition struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Expression  string `json:"expression"`
}

// Policy is the allow policy of one resource. It does not change once it is made. The nil
// policy grants nothing.
type Policy struct {
	Bindings []Binding

	roles map[string][]string // by canonical member: those that it holds unconditionally
}

// NewPolicy is a policy with some bindings.
func NewPolicy(bindings []Binding) *Policy {
	p := &Policy{Bindings: bindings, roles: map[string][]string{}}
	for _, binding := range bindings {
		if binding.Condition != nil {
			continue
		}
		for _, member := range binding.Members {
			member = canonical(member)
			p.roles[member] = append(p.roles[member], binding.Role)
		}
	}
	return p
}

// Grants tells whether the policy gives a permission to who has these identities. Its cost
// does not depend on the size of the policy.
func (p *Policy) Grants(permission string, identities []string) bool {
	if p == nil {
		return false
	}
	holds := func(role string) bool { return Includes(role, permission) }
	return slices.ContainsFunc(identities, func(identity string) bool {
		return slices.ContainsFunc(p.roles[identity], holds)
	})
}

// Conditional tells whether a binding has a condition.
func (p *Policy) Conditional() bool {
	return p != nil && slices.ContainsFunc(p.Bindings, func(b Binding) bool { return b.Condition != nil })
}

// Etag is different for policies that differ. It looks like one of Google's, which are 8
// bytes long, or 3 for an empty policy.
func (p *Policy) Etag() []byte {
	if p == nil || len(p.Bindings) == 0 {
		return []byte{0x00, 0x20, 0x01}
	}
	var text []byte
	for _, b := range p.Bindings {
		text = fmt.Appendf(text, "%q %q", b.Role, b.Members)
		if b.Condition != nil {
			text = fmt.Appendf(text, " %q", *b.Condition)
		}
	}
	sum := sha256.Sum256(text)
	const size = 8
	return append([]byte{0x07}, sum[:size-1]...)
}

// Renamed is the policy in which a member has another name: the same one where nobody in it
// has that name.
func (p *Policy) Renamed(member, to string) *Policy {
	is := func(m string) bool { return strings.EqualFold(m, member) && canonical(m) == canonical(member) }
	if !slices.ContainsFunc(p.Bindings, func(b Binding) bool { return slices.ContainsFunc(b.Members, is) }) {
		return p
	}
	bindings := slices.Clone(p.Bindings)
	for i, binding := range bindings {
		bindings[i].Members = slices.Clone(binding.Members)
		for j, m := range binding.Members {
			if is(m) {
				bindings[i].Members[j] = to
			}
		}
	}
	return NewPolicy(bindings)
}

// Groups are groups of principals by name. The zero value has none.
type Groups struct {
	of map[string][]string // by canonical member: the groups that it is directly in, as members
}

// NewGroups indexes groups: the members of each, by the group's e-mail address.
func NewGroups(members map[string][]string) Groups {
	g := Groups{of: make(map[string][]string, len(members))}
	for email, list := range members {
		for _, member := range list {
			member = canonical(member)
			g.of[member] = append(g.of[member], canonical("group:"+email))
		}
	}
	return g
}

// With is a list of identities together with the groups that they are in, directly or by
// another group.
func (g Groups) With(identities []string) []string {
	if len(g.of) == 0 {
		return identities
	}
	all := slices.Clone(identities)
	for i := 0; i < len(all); i++ {
		for _, group := range g.of[all[i]] {
			if !slices.Contains(all, group) {
				all = append(all, group)
			}
		}
	}
	return all
}
