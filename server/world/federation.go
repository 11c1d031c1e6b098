package world

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/cel"
	"gcp-metadata-emulator/server/iam"
)

// What a provider's attribute mapping is for
// (https://cloud.google.com/iam/docs/workload-identity-federation#mapping).
const (
	subjectAttribute = "google.subject"
	groupsAttribute  = "google.groups"
	customAttribute  = "attribute." // and a name

	maxSubject = 127 // bytes
)

// ErrCondition says that a provider's attribute condition is not met.
var ErrCondition = errors.New("the attribute condition is not met")

// AttributeTypeError says that the claims of a token cannot be mapped to an attribute.
type AttributeTypeError struct{ Attribute, Want string }

func (e *AttributeTypeError) Error() string {
	return fmt.Sprintf("the mapped attribute %q is no %s", e.Attribute, e.Want)
}

// SubjectSizeError says that the claims of a token are mapped to a subject that is too long.
type SubjectSizeError struct{ Limit int }

func (e *SubjectSizeError) Error() string {
	return fmt.Sprintf("the mapped subject is longer than %d bytes", e.Limit)
}

// Principal maps the claims of a token, as encoding/json has them, to the principal of a
// pool. A claim that is missing leaves its attribute out, but the subject has to be there.
// The error is ErrCondition, an *AttributeTypeError or a *SubjectSizeError.
func (p *Provider) Principal(pool *Pool, claims map[string]any) (iam.Principal, error) {
	who := iam.Principal{Kind: iam.KindFederated, Pool: pool.Name}
	variables := map[string]any{"assertion": claims}
	for _, attribute := range slices.Sorted(maps.Keys(p.AttributeMapping)) {
		value := evaluate(p.AttributeMapping[attribute], variables, fixtures.MappingVariables())
		if value == nil && attribute != subjectAttribute {
			continue
		}
		if err := assign(&who, attribute, value); err != nil {
			return iam.Principal{}, err
		}
	}
	if p.AttributeCondition == "" {
		return who, nil
	}
	variables["google"], variables["attribute"] = mapped(who)
	if met, _ := evaluate(p.AttributeCondition, variables, fixtures.ConditionVariables()).(bool); !met {
		return iam.Principal{}, ErrCondition
	}
	return who, nil
}

// evaluate is the value of an expression, or nil where it has none.
func evaluate(text string, variables map[string]any, names []string) any {
	expression, err := cel.Parse(text, names...)
	if err != nil {
		return nil // a fixture with such an expression is not read
	}
	value, err := expression.Evaluate(variables)
	if err != nil {
		return nil
	}
	return value
}

// assign gives a principal an attribute.
func assign(who *iam.Principal, attribute string, value any) error {
	if attribute == groupsAttribute {
		groups, ok := texts(value)
		if !ok {
			return &AttributeTypeError{attribute, "LIST"}
		}
		who.Groups = groups
		return nil
	}
	text, ok := value.(string)
	if !ok || text == "" && attribute == subjectAttribute {
		return &AttributeTypeError{attribute, "STRING"}
	}
	if name, custom := strings.CutPrefix(attribute, customAttribute); custom {
		if who.Attributes == nil {
			who.Attributes = map[string]string{}
		}
		who.Attributes[name] = text
		return nil
	}
	if len(text) > maxSubject {
		return &SubjectSizeError{maxSubject}
	}
	who.ID = text
	return nil
}

func texts(value any) ([]string, bool) {
	list, ok := value.([]any)
	all := make([]string, len(list))
	for i, item := range list {
		text, isText := item.(string)
		all[i], ok = text, ok && isText
	}
	return all, ok
}

// mapped is what a condition sees of a principal.
func mapped(who iam.Principal) (google, attribute map[string]any) {
	groups := make([]any, len(who.Groups))
	for i, group := range who.Groups {
		groups[i] = group
	}
	attribute = make(map[string]any, len(who.Attributes))
	for name, value := range who.Attributes {
		attribute[name] = value
	}
	return map[string]any{"subject": who.ID, "groups": groups}, attribute
}
