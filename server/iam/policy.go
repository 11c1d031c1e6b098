package iam

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/condition"
)

// Binding gives a role to members (https://cloud.google.com/iam/docs/reference/rest/v1/Policy#Binding).
type Binding struct {
	Role      string     `json:"role"`
	Members   []string   `json:"members"`
	Condition *Condition `json:"condition,omitempty"`
}

// Condition is the expression on which a binding depends. Package condition evaluates it.
type Condition struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Expression  string `json:"expression"`
}

// Policy is the allow policy of one resource. It does not change once it is made. The nil
// policy grants nothing.
type Policy struct {
	Bindings []Binding

	grants     map[string][]grant   // by canonical member
	conditions []*condition.Binding // of each binding; nil: it has none, or a broken one
	mistake    *BindingError
}

// grant is a role that a member has while the condition holds.
type grant struct {
	role      string
	condition *condition.Binding // nil: always
	binding   int                // its index in the policy
}

// gives reports whether the role includes the permission that a question asks for.
func (g grant) gives(q Question) bool { return q.Roles.Include(g.role, q.Permission) }

// holds reports whether the role is given at present.
func (g grant) holds(q Question) bool { return g.condition == nil || g.condition.Holds(q.Request()) }

var (
	// ErrBasicRole means that a binding of a basic role has a condition
	// (https://cloud.google.com/iam/docs/conditions-overview#limitations).
	ErrBasicRole = errors.New("a binding of a basic role cannot have a condition")
	// ErrPublicMember means that a binding of allUsers or allAuthenticatedUsers has a condition.
	ErrPublicMember = errors.New("a binding of allUsers or allAuthenticatedUsers cannot have a condition")
)

// BindingError says why the condition of a binding cannot be used.
type BindingError struct {
	Index int   // of the binding
	Err   error // ErrBasicRole, ErrPublicMember or a *condition.Error
}

func (e *BindingError) Error() string { return fmt.Sprintf("binding %d: %v", e.Index, e.Err) }

func (e *BindingError) Unwrap() error { return e.Err }

// NewPolicy returns a policy with the given bindings, and compiles their conditions. If the
// condition of a binding is broken, the binding grants nothing; Check reports it.
func NewPolicy(bindings []Binding) *Policy {
	p := &Policy{Bindings: bindings, conditions: make([]*condition.Binding, len(bindings))}
	for i, binding := range bindings {
		compiled, err := binding.compile()
		if err != nil && p.mistake == nil {
			p.mistake = &BindingError{i, err}
		}
		p.conditions[i] = compiled
	}
	p.index()
	return p
}

// compile compiles the condition of a binding, if it has one.
func (b Binding) compile() (*condition.Binding, error) {
	isPublic := func(member string) bool { return member == "allUsers" || member == "allAuthenticatedUsers" }
	switch {
	case b.Condition == nil:
		return nil, nil //nolint:nilnil // no condition is no value, and no mistake
	case isBasic(b.Role):
		return nil, ErrBasicRole
	case slices.ContainsFunc(b.Members, isPublic):
		return nil, ErrPublicMember
	}
	return condition.NewBinding(b.Condition.Expression)
}

// index makes the grants of a policy with compiled conditions.
func (p *Policy) index() {
	p.grants = map[string][]grant{}
	for i, binding := range p.Bindings {
		if binding.Condition != nil && p.conditions[i] == nil {
			continue
		}
		for _, member := range binding.Members {
			member = canonical(member)
			p.grants[member] = append(p.grants[member], grant{binding.Role, p.conditions[i], i})
		}
	}
}

// Check returns a *BindingError for the first binding with a broken condition.
func (p *Policy) Check() error {
	if p == nil || p.mistake == nil {
		return nil
	}
	return p.mistake
}

// Question asks whether a principal has a permission.
type Question struct {
	Permission string
	Identities []string // of the principal
	Roles      Roles    // the known roles

	Request func() condition.Request // for conditions; it is called only if there is one to evaluate
}

// Grants reports whether the policy gives the permission to the principal. The cost does not
// depend on the size of the policy.
func (p *Policy) Grants(q Question) bool {
	if p == nil {
		return false
	}
	holds := func(g grant) bool { return g.gives(q) && g.holds(q) }
	return slices.ContainsFunc(q.Identities, func(identity string) bool {
		return slices.ContainsFunc(p.grants[identity], holds)
	})
}

// Names reports whether a binding of the policy gives a role.
func (p *Policy) Names(role string) bool {
	return p != nil && slices.ContainsFunc(p.Bindings, func(b Binding) bool { return b.Role == role })
}

// Without returns the policy without the bindings that give a role.
func (p *Policy) Without(role string) *Policy {
	return NewPolicy(slices.DeleteFunc(slices.Clone(p.Bindings), func(b Binding) bool { return b.Role == role }))
}

// Conditional reports whether a binding has a condition.
func (p *Policy) Conditional() bool {
	return p != nil && slices.ContainsFunc(p.Bindings, func(b Binding) bool { return b.Condition != nil })
}

// Etag returns a value that differs between different policies. Like Google's etags, it has 8 bytes,
// or 3 for an empty policy.
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
	return digest(text)
}

// digest returns a digest of a text that looks like an etag of Google's.
func digest(text []byte) []byte {
	sum := sha256.Sum256(text)
	const size = 8
	return append([]byte{0x07}, sum[:size-1]...)
}

// Renamed returns the policy with another name for a member. If the policy does not contain the
// member, Renamed returns the same policy.
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
	renamed := &Policy{Bindings: bindings, conditions: p.conditions, mistake: p.mistake}
	renamed.index()
	return renamed
}

// Groups are groups of principals by name. The zero value has no groups.
type Groups struct {
	of map[string][]string // by canonical member: the groups that directly contain it, as members
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

// With returns the identities, with the groups that contain them directly or through another group.
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
