package server_test

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

	"gcp-metadata-emulator/server"
)

// description is the OpenAPI document of the control plane, with a validator of it.
type description struct {
	document map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex // of the compiler
}

const descriptionURL = "http://emulator/openapi.json"

func (e *emulator) description(t *testing.T) *description {
	t.Helper()
	text := ask(t.Context(), e.server, "/emulator/v1/openapi.json").Body.String()
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := &description{document: parsed.(map[string]any), compiler: jsonschema.NewCompiler()}
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(descriptionURL, parsed); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows names from the top of the document, and references on the way. It is nil where
// there is nothing.
func (d *description) at(names ...string) (value any, place string) {
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

// operations are the document's, as server.ControlOperations has them, with their IDs.
func (d *description) operations() map[string]string {
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

// queryParameters are those of an operation, in alphabetical order.
func (d *description) queryParameters(path, method string) []string {
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

// path is the one in the document that a request is for, or empty.
func (d *description) path(method, path string) string {
	variable := regexp.MustCompile(`\\{[a-z]+\\}`)
	for _, operation := range slices.Sorted(maps.Keys(d.operations())) {
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
func (d *description) check(t *testing.T, place, text string) {
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

// checkExchange checks a request and the answer to it, if they are the control plane's.
func (d *description) checkExchange(t *testing.T, script string, got answer) {
	t.Helper()
	head, body, _ := strings.Cut(script, "\n\n")
	method, target, _ := strings.Cut(strings.SplitN(head, "\n", 2)[0], " ")
	bare, _, _ := strings.Cut(target, "?")
	path := d.path(method, bare)
	if path == "" {
		return
	}
	const mediaType = "application/json"
	status, operation := strconv.Itoa(got.status), strings.ToLower(method)
	if response, _ := d.at("paths", path, operation, "responses", status); response == nil {
		status = "default"
	}
	if contentType, _ := got.header("Content-Type"); strings.HasPrefix(contentType, mediaType) {
		_, place := d.at("paths", path, operation, "responses", status, "content", mediaType, "schema")
		if place == "" {
			t.Fatalf("server/control/openapi.yaml has no schema of what %s %s answers with %d", method, path, got.status)
		}
		d.check(t, place, got.body)
	}
	if body = strings.TrimSuffix(body, "\n"); got.status != http.StatusOK || body == "" || !json.Valid([]byte(body)) {
		return
	}
	_, place := d.at("paths", path, operation, "requestBody", "content", mediaType, "schema")
	if place == "" {
		t.Fatalf("server/control/openapi.yaml has no body for %s %s", method, path)
	}
	d.check(t, place, body)
}

// The description has every operation of the control plane, and no other.
func TestControlPlaneIsDescribed(t *testing.T) {
	t.Parallel()
	described := newEmulator(t).description(t).operations()
	for operation, name := range server.ControlRoutes() {
		id, ok := described[operation]
		switch {
		case !ok:
			t.Errorf("server/control/openapi.yaml lacks %s; describe it there, with operationId %s", operation, name)
		case id != name:
			t.Errorf("server/control/openapi.yaml has operationId %s for %s; the route is named %s", id, operation, name)
		}
		delete(described, operation)
	}
	for operation := range described {
		t.Errorf("server/control/openapi.yaml describes %s, which there is not", operation)
	}
}

// Every schema in the description is one.
func TestDescriptionCompiles(t *testing.T) {
	t.Parallel()
	d := newEmulator(t).description(t)
	schemas, _ := d.at("components", "schemas")
	for name := range schemas.(map[string]any) {
		if _, err := d.compiler.Compile(descriptionURL + "#/components/schemas/" + name); err != nil {
			t.Error(err)
		}
	}
}
