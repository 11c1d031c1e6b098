package compare

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/pseudonym"
	"gcp-metadata-emulator/server/script"
)

// teach makes names of the values that users chose in an answer of a metadata server. Such values have no form of
// their own.
func teach(names *pseudonym.Names, request string, answer script.Answer) {
	target, query, _ := strings.Cut(targetOf(request), "?")
	path, isOfTree := pathOf(target)
	isRecursive := strings.Contains(query, "recursive")
	if !isOfTree || answer.Status != http.StatusOK || strings.HasSuffix(target, "/") && !isRecursive {
		return
	}
	decoder := json.NewDecoder(strings.NewReader(answer.Body))
	decoder.UseNumber()
	var value any
	if kind, _ := answer.Header("Content-Type"); strings.Contains(kind, "json") && decoder.Decode(&value) == nil {
		teachValue(names, path, value)
		return
	}
	teachText(names, path, answer.Body)
	if isRecursive {
		teachLines(names, path, answer.Body)
	}
}

// targetOf returns the target of a request.
func targetOf(request string) string {
	_, rest, _ := strings.Cut(script.Line(request), " ")
	return rest
}

// pathOf returns the keys of the document for the entry at a path. It returns false if the path is not in the tree.
func pathOf(path string) ([]string, bool) {
	names := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	at := slices.Index(names, "v1")
	if at < 0 {
		return nil, false
	}
	var keys []string
	naming := fixtures.Naming{}
	for _, name := range names[at+1:] {
		keys, naming = append(keys, naming.Canonical(name)), naming.Below(name)
	}
	return keys, true
}

// chosen returns the kind of the value at a path of the document, and whether a user chose the value.
func chosen(path []string) (pseudonym.Kind, bool) {
	const ofSection = 2
	if len(path) < ofSection {
		return "", false
	}
	switch section := path[0] + "/" + path[1]; section {
	case "instance/attributes", "instance/guestAttributes", "instance/partnerAttributes", "project/attributes":
		return pseudonym.Value, len(path) > ofSection
	case "instance/description":
		return pseudonym.Value, true
	case "instance/name", "instance/hostname", "instance/tags":
		return pseudonym.Name, true
	case "project/projectId":
		return pseudonym.Project, true
	default:
		return "", false
	}
}

// isChosen reports whether a user chose the value that a request is for.
func isChosen(request string) bool {
	target, _, _ := strings.Cut(targetOf(request), "?")
	path, isOfTree := pathOf(target)
	_, is := chosen(path)
	return isOfTree && is && !strings.HasSuffix(target, "/")
}

// teachValue makes names of the values in a part of the document.
func teachValue(names *pseudonym.Names, path []string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			below := key
			if _, isOfUser := chosen(append(slices.Clone(path), key)); !isOfUser {
				below = fixtures.Naming{}.Canonical(key)
			}
			teachValue(names, append(slices.Clone(path), below), value[key])
		}
	case []any:
		for i, item := range value {
			teachValue(names, append(slices.Clone(path), strconv.Itoa(i)), item)
		}
	case json.Number:
		teachText(names, path, value.String())
	case string:
		teachText(names, path, value)
	}
}

// teachText makes a name of the text at a path, and of each item of a list.
func teachText(names *pseudonym.Names, path []string, text string) {
	kind, isOfUser := chosen(path)
	if !isOfUser {
		return
	}
	if kind == pseudonym.Name {
		for item := range strings.Lines(text) {
			names.Learn(kind, strings.TrimSuffix(item, "\n"))
		}
		return
	}
	value := strings.TrimRight(text, "\n")
	if value != "" && len(value) < shortestLearnt {
		value = strconv.Quote(value) // as a document has it
	}
	names.Learn(kind, value)
}

// shortestLearnt is the length of the shortest values that names learn.
const shortestLearnt = 3

// teachLines makes names of the values in a document in the form of text. In this form, each value has a line, with
// its path first. A line without a slash in its first word can also be a further line of the value before it.
func teachLines(names *pseudonym.Names, base []string, text string) {
	isBelow := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, " ")
		path, _ := pathOf("v1/" + strings.Join(base, "/") + "/" + name)
		kind, isOfUser := chosen(path)
		switch {
		case isOfUser && value != "" && len(value) < shortestLearnt:
			names.Learn(kind, line)
		case isOfUser:
			names.Learn(kind, value)
		}
		if isBelow && !strings.Contains(name, "/") {
			names.Learn(pseudonym.Value, line)
			continue
		}
		isBelow = isOfUser
	}
}
