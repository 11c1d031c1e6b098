// Package condition compiles and evaluates the expressions of Google's access rules: the
// conditions of IAM bindings, and the attribute mappings and attribute conditions of workload
// identity pool providers. They are written in the Common Expression Language
// (https://cloud.google.com/iam/docs/conditions-attribute-reference,
// https://cloud.google.com/iam/docs/workload-identity-federation#mapping).
//
// The package owns the variables and functions of each kind of expression, Google's limits on
// them, and the messages about mistakes. It does not know policies, pools or fixtures. Evaluation is
// pure and limited in cost: the caller passes the time and the resource.
package condition

import (
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Binding is the compiled condition of an IAM binding. It is safe for concurrent use.
type Binding struct{ program cel.Program }

// Request holds the properties of a caller's request that the condition of a binding can examine.
type Request struct {
	Time     time.Time
	Resource Resource
}

// Resource is the resource that a caller wants to use
// (https://cloud.google.com/iam/docs/conditions-resource-attributes).
type Resource struct {
	Service string // iam.googleapis.com
	Type    string // iam.googleapis.com/ServiceAccount
	Name    string // projects/PROJECT/serviceAccounts/EMAIL
}

// NewBinding compiles the condition of a binding. The error is an *Error.
func NewBinding(expression string) (*Binding, error) {
	program, err := compile(bindingKind, expression, isBoolean)
	if err != nil {
		return nil, err
	}
	return &Binding{program}, nil
}

// Holds reports whether a request meets the condition. A condition that cannot be evaluated
// does not hold.
func (b *Binding) Holds(r Request) bool {
	return isTrue(evaluate(b.program, map[string]any{
		requestTime:     r.Time,
		resourceService: r.Resource.Service,
		resourceType:    r.Resource.Type,
		resourceName:    r.Resource.Name,
	}))
}

// Mapping is the compiled expression of one attribute in an attribute mapping. It is safe for
// concurrent use.
type Mapping struct{ program cel.Program }

// NewMapping compiles the expression of an attribute such as google.subject. The error is an
// *Error.
func NewMapping(attribute, expression string) (*Mapping, error) {
	fits := isText
	if attribute == "google.groups" {
		fits = isTexts
	}
	program, err := compile(mappingKind, expression, fits)
	if err != nil {
		return nil, err
	}
	return &Mapping{program}, nil
}

// Value evaluates the mapping of the claims of a token. Lists are []any. If the claims have no such
// value, Value returns nil.
func (m *Mapping) Value(claims map[string]any) any {
	return native(evaluate(m.program, map[string]any{assertion: claims}))
}

// Attributes is the compiled attribute condition of a provider. It is safe for concurrent use.
type Attributes struct{ program cel.Program }

// NewAttributes compiles an attribute condition. The error is an *Error.
func NewAttributes(expression string) (*Attributes, error) {
	program, err := compile(attributesKind, expression, isBoolean)
	if err != nil {
		return nil, err
	}
	return &Attributes{program}, nil
}

// Principal holds the properties of a token's bearer that an attribute condition can examine.
type Principal struct {
	Claims     map[string]any // of the token
	Subject    string         // google.subject
	Groups     []string       // google.groups
	Attributes map[string]string
}

// Accepts reports whether a principal meets the condition. A condition that cannot be evaluated
// accepts no principal.
func (a *Attributes) Accepts(p Principal) bool {
	return isTrue(evaluate(a.program, map[string]any{
		assertion: p.Claims,
		google:    map[string]any{"subject": p.Subject, "groups": p.Groups},
		attribute: p.Attributes,
	}))
}

// evaluate returns the value of an expression, or nil if there is no value.
func evaluate(program cel.Program, variables map[string]any) ref.Val {
	value, _, err := program.Eval(variables)
	if err != nil {
		return nil
	}
	return value
}

func isTrue(value ref.Val) bool { return value == types.True }

// native converts a value to the type that encoding/json would decode.
func native(value ref.Val) any {
	switch value := value.(type) {
	case nil, types.Null:
		return nil
	case traits.Lister:
		items := []any{}
		for each := value.Iterator(); each.HasNext() == types.True; {
			items = append(items, native(each.Next()))
		}
		return items
	default:
		return value.Value()
	}
}
