package emulatortest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gcp-metadata-emulator/server/script"
)

// Description is the OpenAPI document of the control plane, with a validator of its schemas.
type Description struct {
	document map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex // of the compiler
}

const descriptionURL = "http://emulator/openapi.json"

// Describe reads the description that a control plane publishes.
func Describe(t *testing.T, handler http.Handler) *Description {
	t.Helper()
	text := Ask(t.Context(), handler, "/emulator/v1/openapi.json").Body.String()
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := &Description{document: parsed.(map[string]any), compiler: jsonschema.NewCompiler()}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(descriptionURL, parsed); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows names from the top of the document, and references on the way. If the document has no
// such value, it returns nil.
func (d *Description) at(names ...string) (value any, place string) {
	value = d.document
	for _, name := range names {
		object, _ := value.(map[string]any)
		if value = object[name]; value == nil {
			return nil, ""
		}
		place += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if object, ok := value.(map[string]any); ok && len(object) == 1 && object["$ref"] != nil {
			place = strings.TrimPrefix(object["$ref"].(string), "#")
			var inner []string
			for name := range strings.SplitSeq(place[1:], "/") {
				inner = append(inner, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
			}
			value, place = d.at(inner...)
		}
	}
	return value, place
}

// Operations returns the IDs of the operations by their methods and paths: "GET /emulator/v1/state".
func (d *Description) Operations() map[string]string {
	operations := map[string]string{}
	paths, _ := d.document["paths"].(map[string]any)
	for path, item := range paths {
		for method, operation := range item.(map[string]any) {
			if method != "parameters" {
				id, _ := operation.(map[string]any)["operationId"].(string)
				operations[strings.ToUpper(method)+" "+path] = id
			}
		}
	}
	return operations
}

// QueryParameters returns the query parameters of an operation, in alphabetical order.
func (d *Description) QueryParameters(path, method string) []string {
	var names []string
	for _, item := range [][]string{{"paths", path, "parameters"}, {"paths", path, method, "parameters"}} {
		list, _ := d.at(item...)
		parameters, _ := list.([]any)
		for _, parameter := range parameters {
			object := parameter.(map[string]any)
			if reference, ok := object["$ref"].(string); ok {
				found, _ := d.at(strings.Split(strings.TrimPrefix(reference, "#/"), "/")...)
				object = found.(map[string]any)
			}
			if object["in"] == "query" {
				names = append(names, object["name"].(string))
			}
		}
	}
	slices.Sort(names)
	return names
}

// path returns the path in the document that matches a request, or an empty string.
func (d *Description) path(method, path string) string {
	variable := regexp.MustCompile(`\\{[a-z]+\\}`)
	for _, operation := range slices.Sorted(maps.Keys(d.Operations())) {
		known, pattern, _ := strings.Cut(operation, " ")
		expression := variable.ReplaceAllString(regexp.QuoteMeta(pattern), "[^/]+")
		expression = strings.Replace(expression, "/metadata/[^/]+", "/metadata/.+", 1)
		if known == method && regexp.MustCompile("^"+expression+"$").MatchString(path) {
			return pattern
		}
	}
	return ""
}

// check checks a JSON text against the schema at a place.
func (d *Description) check(t *testing.T, place, text string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	schema, err := d.compiler.Compile(descriptionURL + "#" + (&url.URL{Path: place}).EscapedPath())
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Errorf("it is not JSON: %v", err)
		return
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("server/control/openapi.yaml does not describe it: %v", err)
	}
}

// CheckExchange checks a request and the answer to it, if they are the control plane's.
func (d *Description) CheckExchange(t *testing.T, asked string, got script.Answer) {
	t.Helper()
	head, body, _ := strings.Cut(asked, "\n\n")
	method, target, _ := strings.Cut(strings.SplitN(head, "\n", 2)[0], " ")
	bare, _, _ := strings.Cut(target, "?")
	path := d.path(method, bare)
	if path == "" {
		return
	}
	const mediaType = "application/json"
	status, operation := strconv.Itoa(got.Status), strings.ToLower(method)
	if response, _ := d.at("paths", path, operation, "responses", status); response == nil {
		status = "default"
	}
	if contentType, _ := got.Header("Content-Type"); strings.HasPrefix(contentType, mediaType) {
		_, place := d.at("paths", path, operation, "responses", status, "content", mediaType, "schema")
		if place == "" {
			t.Fatalf("server/control/openapi.yaml has no schema for the answer of %s %s with status %d", method, path, got.Status)
		}
		d.check(t, place, got.Body)
	}
	if body = strings.TrimSuffix(body, "\n"); got.Status != http.StatusOK || body == "" || !json.Valid([]byte(body)) {
		return
	}
	_, place := d.at("paths", path, operation, "requestBody", "content", mediaType, "schema")
	if place == "" {
		t.Fatalf("server/control/openapi.yaml has no body for %s %s", method, path)
	}
	d.check(t, place, body)
}

// CheckSchemas checks that every schema of the document compiles.
func (d *Description) CheckSchemas(t *testing.T) {
	t.Helper()
	schemas, _ := d.at("components", "schemas")
	for name := range schemas.(map[string]any) {
		if _, err := d.compiler.Compile(descriptionURL + "#/components/schemas/" + name); err != nil {
			t.Error(err)
		}
	}
}
