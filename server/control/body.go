package control

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"gcp-metadata-emulator/fixtures/spelling"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// readJSON decodes the body of a request into value, and refuses unknown members. Numbers in an
// "any" keep their text. The header Content-Type does not count, because curl -d sends the type of
// a form.
func readJSON(r *http.Request, value any) error {
	body, err := wire.ReadBody(r)
	if err != nil {
		return err
	}
	return decode(body, value)
}

// readOptionalJSON is readJSON, but an empty body leaves value as it is.
func readOptionalJSON(r *http.Request, value any) error {
	body, err := wire.ReadBody(r)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	return decode(body, value)
}

func decode(body []byte, value any) error {
	problem := syntaxProblem(body)
	if problem == "" {
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		decoder.UseNumber()
		problem = valueProblem(decoder.Decode(value), reflect.TypeOf(value))
	}
	if problem != "" {
		return googleapi.InvalidArgument("cannot read the body: " + problem)
	}
	return nil
}

// syntaxProblem describes the first syntax error in the body, or returns "" if it is JSON.
func syntaxProblem(body []byte) string {
	if len(bytes.TrimSpace(body)) == 0 {
		return "it is empty"
	}
	syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, new(json.RawMessage)))
	switch {
	case !ok:
		return ""
	case strings.HasPrefix(syntax.Error(), "unexpected end"):
		return "the JSON is truncated"
	}
	before := string(body[:syntax.Offset-1])
	letter, _ := utf8.DecodeRune(body[syntax.Offset-1:])
	return fmt.Sprintf("unexpected %q at line %d, column %d of the JSON",
		letter, 1+strings.Count(before, "\n"), 1+utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]))
}

// valueProblem rewrites an error of encoding/json for people.
func valueProblem(err error, into reflect.Type) string {
	if err == nil {
		return ""
	}
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if mismatch.Field == "" {
			return "it must be an object"
		}
		return fmt.Sprintf("%q must be %s", mismatch.Field, kindOf(mismatch.Type))
	}
	const sample = `such as "2030-01-01T00:00:00Z"`
	if moment, ok := errors.AsType[*time.ParseError](err); ok {
		return fmt.Sprintf("%q is not an RFC 3339 time, %s", strings.Trim(moment.Value, `"`), sample)
	}
	problem := strings.TrimPrefix(err.Error(), "json: ")
	if strings.HasPrefix(problem, "Time.UnmarshalJSON") {
		return "a time must be a string, " + sample
	}
	if name, unknown := strings.CutPrefix(problem, "unknown field "); unknown {
		return "unknown field " + name + nearestMember(strings.Trim(name, `"`), into)
	}
	return problem // an error of our own types
}

// nearestMember suggests the name of a member of a type, or of a type of its members.
func nearestMember(written string, of reflect.Type) string {
	if near, ok := spelling.Nearest(written, members(of)); ok {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; use one of: " + strings.Join(members(of), ", ")
}

// members returns the names of the members of a type in JSON, and of the objects in it.
func members(of reflect.Type) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
			names = append(names, members(field.Type)...)
		}
	}
	return names
}

// kindOf names the JSON type that a Go type is decoded from.
func kindOf(of reflect.Type) string {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if reflect.PointerTo(of).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a string"
	}
	switch kind := of.Kind(); {
	case kind == reflect.String:
		return "a string"
	case kind == reflect.Bool:
		return "true or false"
	case kind == reflect.Slice:
		return "a list"
	case kind == reflect.Float64:
		return "a number"
	case of.ConvertibleTo(reflect.TypeFor[int]()):
		return "a whole number"
	default:
		return "an object"
	}
}
