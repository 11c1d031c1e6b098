package condition

import (
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

const extractName = "extract"

// extractFunction declares TEXT.extract(TEMPLATE).
func extractFunction() cel.EnvOption {
	return cel.Function(extractName, cel.MemberOverload("string_extract_string",
		[]*cel.Type{cel.StringType, cel.StringType}, cel.StringType,
		cel.BinaryBinding(func(text, template ref.Val) ref.Val {
			before, after, ok := cutTemplate(string(template.(types.String)))
			if !ok {
				return types.NewErr("the template %q has no name in braces", template)
			}
			return types.String(between(string(text.(types.String)), before, after))
		})))
}

// cutTemplate returns the parts of a template before and after its name in braces.
func cutTemplate(template string) (before, after string, ok bool) {
	before, rest, opened := strings.Cut(template, "{")
	_, after, closed := strings.Cut(rest, "}")
	return before, after, opened && closed
}

// between returns the part of a text between the first occurrence of before and the next occurrence
// of after, or "" if the text lacks one of them
// (https://cloud.google.com/iam/docs/conditions-attribute-reference#extract).
func between(text, before, after string) string {
	_, found, ok := strings.Cut(text, before)
	if !ok || after == "" {
		return found
	}
	part, _, ok := strings.Cut(found, after)
	if !ok {
		return ""
	}
	return part
}

// requestFunctions declares Google's functions on the request and its resource. The emulator's APIs
// send no attributes, its resources have no tags, and there are no forwarding rules.
func requestFunctions() []cel.EnvOption {
	text, texts := cel.StringType, cel.ListType(cel.StringType)
	options := []cel.EnvOption{
		cel.Function("api.getAttribute", cel.Overload("api_get_attribute", []*cel.Type{text, cel.DynType}, cel.DynType,
			cel.BinaryBinding(func(_, otherwise ref.Val) ref.Val { return otherwise }))),
		cel.Function("hasOnly", cel.MemberOverload("list_has_only_list",
			[]*cel.Type{cel.ListType(cel.DynType), cel.ListType(cel.DynType)}, cel.BoolType, cel.BinaryBinding(hasOnly))),
		cel.Function("date", cel.Overload("date_string", []*cel.Type{text}, cel.TimestampType, cel.UnaryBinding(date))),
		cel.Function("compute.isForwardingRuleCreationOperation", cel.Overload("is_forwarding_rule_creation", nil, cel.BoolType, never())),
		cel.Function("compute.matchLoadBalancingSchemes", cel.Overload("match_load_balancing_schemes", []*cel.Type{texts}, cel.BoolType, never())),
	}
	for _, name := range []string{"resource.matchTag", "resource.matchTagId"} {
		options = append(options, cel.Function(name, cel.Overload(name, []*cel.Type{text, text}, cel.BoolType, never())))
	}
	for _, name := range []string{"resource.hasTagKey", "resource.hasTagKeyId"} {
		options = append(options, cel.Function(name, cel.Overload(name, []*cel.Type{text}, cel.BoolType, never())))
	}
	return options
}

func never() cel.OverloadOpt {
	return cel.FunctionBinding(func(...ref.Val) ref.Val { return types.False })
}

// hasOnly reports whether every item of a list is allowed.
func hasOnly(list, allowed ref.Val) ref.Val {
	for each := list.(traits.Lister).Iterator(); each.HasNext() == types.True; {
		if allowed.(traits.Lister).Contains(each.Next()) != types.True {
			return types.False
		}
	}
	return types.True
}

// date converts a day, such as "2026-11-29", to its first moment in UTC.
func date(day ref.Val) ref.Val {
	at, err := time.Parse(time.DateOnly, string(day.(types.String)))
	if err != nil {
		return types.NewErr("%q is not a date such as 2026-11-29", day)
	}
	return types.Timestamp{Time: at}
}
