package condition

import (
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
)

// The variables of the three kinds of expression.
const (
	requestTime     = "request.time"
	resourceService = "resource.service"
	resourceType    = "resource.type"
	resourceName    = "resource.name"

	assertion = "assertion"
	google    = "google"
	attribute = "attribute"
)

// kind is a kind of expression: its language, and Google's limits on it.
type kind struct {
	env *cel.Env

	// bare parses an expression without expanding its macros, as the author wrote it.
	bare *cel.Env

	variables    []string
	longest      int // in characters; 0: the limit of the language
	mostLogic    int // operators && || and !; 0: any number
	hint         string
	functionHint string
}

// selector returns one of the kinds.
type selector func(*kinds) *kind

func bindingKind(k *kinds) *kind    { return &k.binding }
func mappingKind(k *kinds) *kind    { return &k.mapping }
func attributesKind(k *kinds) *kind { return &k.attributes }

// kinds are all kinds of expression.
type kinds struct{ binding, mapping, attributes kind }

// languages makes the languages when the first expression is compiled: most fixtures have none.
var languages = sync.OnceValues(newKinds) //nolint:gochecknoglobals // the languages are constant, and all worlds share them

const (
	// longestMapping and longestAttributes are in characters
	// (https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools.providers).
	longestMapping    = 2048
	longestAttributes = 4096

	// mostLogic is the maximum number of logical operators in the condition of a binding
	// (https://cloud.google.com/iam/quotas#limits).
	mostLogic = 12
)

func newKinds() (*kinds, error) {
	bare, err := cel.NewCustomEnv()
	if err != nil {
		return nil, err
	}
	k := &kinds{
		binding: kind{
			bare: bare, mostLogic: mostLogic,
			variables: []string{
				requestTime, resourceService, resourceType, resourceName,
				"request.auth.access_levels", "request.host", "request.path", "destination.ip", "destination.port",
			},
			hint:         "the attributes of a condition are request.time, resource.service, resource.type and resource.name",
			functionHint: "a condition has the functions of CEL, and Google's: extract, hasOnly, date, api.getAttribute and resource.matchTag among them",
		},
		mapping: kind{
			bare: bare, longest: longestMapping, variables: []string{assertion},
			hint:         "the claims of the token are in assertion, such as assertion.sub",
			functionHint: federationFunctions,
		},
		attributes: kind{
			bare: bare, longest: longestAttributes, variables: []string{assertion, google, attribute},
			hint:         "assertion has the claims of the token, and google and attribute have the mapped attributes",
			functionHint: federationFunctions,
		},
	}
	if k.binding.env, err = cel.NewEnv(bindingLanguage()...); err != nil {
		return nil, err
	}
	if k.mapping.env, err = cel.NewEnv(federationLanguage()...); err != nil {
		return nil, err
	}
	k.attributes.env, err = k.mapping.env.Extend(
		cel.Variable(google, cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable(attribute, cel.MapType(cel.StringType, cel.StringType)),
	)
	return k, err
}

// stringsVersion is the first version of the string functions that counts their cost.
const stringsVersion = 5

const federationFunctions = "use the functions of CEL, its string functions such as split, join, replace and lowerAscii, or extract"

// federationLanguage is the language of attribute mappings. Claims can have any type.
func federationLanguage() []cel.EnvOption {
	return append(sharedLanguage(),
		cel.Variable(assertion, cel.MapType(cel.StringType, cel.DynType)),
		ext.Strings(ext.StringsVersion(stringsVersion)),
	)
}

// bindingLanguage is the language of conditions. It also declares attributes without a value in the
// emulator. A condition with such an attribute therefore compiles, but does not hold.
func bindingLanguage() []cel.EnvOption {
	return append(append(sharedLanguage(), requestFunctions()...),
		cel.Variable(requestTime, cel.TimestampType),
		cel.Variable(resourceService, cel.StringType),
		cel.Variable(resourceType, cel.StringType),
		cel.Variable(resourceName, cel.StringType),
		cel.Variable("request.auth.access_levels", cel.ListType(cel.StringType)),
		cel.Variable("request.host", cel.StringType),
		cel.Variable("request.path", cel.StringType),
		cel.Variable("destination.ip", cel.StringType),
		cel.Variable("destination.port", cel.IntType),
	)
}

// sharedLanguage returns the additions to the standard library that all kinds share. Literals are
// checked when an expression is compiled, not when it is evaluated.
func sharedLanguage() []cel.EnvOption {
	return []cel.EnvOption{
		extractFunction(),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals()),
	}
}
