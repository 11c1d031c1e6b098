package world

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/condition"
	"gcp-metadata-emulator/server/iam"
)

// The attributes that a provider's mapping can set
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
	return fmt.Sprintf("the mapped attribute %q is not a %s", e.Attribute, e.Want)
}

// SubjectSizeError means that the subject, mapped from the claims of a token, is too long.
type SubjectSizeError struct{ Limit int }

func (e *SubjectSizeError) Error() string {
	return fmt.Sprintf("the mapped subject is longer than %d bytes", e.Limit)
}

// mappedAttribute is an attribute of a provider's mapping and its expression.
type mappedAttribute struct {
	name    string
	mapping *condition.Mapping
}

// mostCustomAttributes is the maximum number of attribute.NAME in a mapping
// (https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools.providers).
const mostCustomAttributes = 50

// compile compiles the mapping and the condition of a provider. at is the provider's path in the
// fixture. A broken expression has no value. The error gives the position of the first broken
// expression.
func (p *Provider) compile(f *fixtures.Fixture, described fixtures.WorkloadIdentityProvider, at fixtures.Path) error {
	var mistake error
	custom := 0
	expressions := described.AttributeMapping
	if expressions == nil {
		expressions = p.defaultMapping()
	}
	for _, name := range slices.Sorted(maps.Keys(expressions)) {
		mapping, err := condition.NewMapping(name, expressions[name])
		if err != nil {
			mistake = cmp.Or(mistake, refuse(f, at.To("attributeMapping", name), err))
		}
		if strings.HasPrefix(name, customAttribute) {
			custom++
		}
		p.mapping = append(p.mapping, mappedAttribute{name, mapping})
	}
	if custom > mostCustomAttributes {
		mistake = cmp.Or(mistake, refuse(f, at.To("attributeMapping"), fmt.Errorf("%d custom attributes are mapped; at most %d can be mapped", custom, mostCustomAttributes)))
	}
	p.conditional = described.AttributeCondition != ""
	if p.conditional {
		compiled, err := condition.NewAttributes(described.AttributeCondition)
		if err != nil {
			mistake = cmp.Or(mistake, refuse(f, at.To("attributeCondition"), err))
		}
		p.condition = compiled
	}
	return mistake
}

// defaultMapping returns the mapping of a provider without a mapping in the fixture. If it is nil,
// the principal has the token's subject.
func (p *Provider) defaultMapping() map[string]string {
	switch {
	case p.AWS != nil:
		return awsMapping()
	case p.SAML != nil:
		return map[string]string{subjectAttribute: "assertion.subject"}
	case fixtures.IsClusterPool(path.Base(path.Dir(path.Dir(p.Name)))):
		return clusterMapping()
	default:
		return nil
	}
}

// awsMapping is Google's default for providers of AWS
// (https://cloud.google.com/iam/docs/workload-identity-federation#mapping).
func awsMapping() map[string]string {
	return map[string]string{
		subjectAttribute: `assertion.arn`,
		customAttribute + "aws_role": `assertion.arn.contains('assumed-role')` +
			` ? assertion.arn.extract('{account_arn}assumed-role/') + 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/')` +
			` : assertion.arn`,
	}
}

// refuse returns an error with the position of a value in the fixture.
func refuse(f *fixtures.Fixture, at fixtures.Path, err error) error {
	m := fixtures.Mistake{Problem: err.Error()}
	if broken, ok := errors.AsType[*condition.Error](err); ok {
		m.Line, m.Column, m.Suggestion = broken.Line, broken.Column, broken.Suggestion
	}
	return f.Source.Refuse(at, m)
}

// Principal maps the claims of a token, as encoding/json decodes them, to the principal of a
// pool. A missing claim leaves its attribute out, but the subject is required. Without a mapping,
// the principal has the token's subject. The error is ErrCondition, an *AttributeTypeError or a
// *SubjectSizeError.
func (p *Provider) Principal(pool *Pool, claims map[string]any) (iam.Principal, error) {
	who := iam.Principal{Kind: iam.KindFederated, Pool: pool.Name}
	if p.mapping == nil {
		if err := assign(&who, subjectAttribute, claims["sub"]); err != nil {
			return iam.Principal{}, err
		}
	}
	for _, attribute := range p.mapping {
		value := attribute.value(claims)
		if value == nil && attribute.name != subjectAttribute {
			continue
		}
		if err := assign(&who, attribute.name, value); err != nil {
			return iam.Principal{}, err
		}
	}
	if p.conditional && !p.accepts(who, claims) {
		return iam.Principal{}, ErrCondition
	}
	return who, nil
}

func (a mappedAttribute) value(claims map[string]any) any {
	if a.mapping == nil {
		return nil
	}
	return a.mapping.Value(claims)
}

func (p *Provider) accepts(who iam.Principal, claims map[string]any) bool {
	return p.condition != nil && p.condition.Accepts(condition.Principal{
		Claims: claims, Subject: who.ID, Groups: who.Groups, Attributes: who.Attributes,
	})
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
