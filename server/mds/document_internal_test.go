package mds

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/world"
)

// Like tree_internal_test.go in package mds, for trees of any document.

// FuzzDocument checks what holds for every tree: what is listed is readable and what is in
// the recursive form is listed, both forms say the same, and ETags depend on content alone.
func FuzzDocument(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, seed*seed)
	}
	f.Fuzz(func(t *testing.T, seed, more uint64) {
		invented := func() map[string]any { return author{rand.New(rand.NewPCG(seed, more))}.document() }
		root := build(&world.Instance{Metadata: invented()})
		walk(t, root, root, "")
		tree, _ := root.find("computeMetadata", "v1")
		checkForms(t, tree)
		checkETags(t, tree, invented())
	})
}

// author invents documents.
type author struct{ *rand.Rand }

func (a author) document() map[string]any {
	const depth = 3
	instance := a.object(depth)
	instance["attributes"] = a.attributes()
	return map[string]any{"instance": instance, "project": map[string]any{"attributes": a.attributes()}, "oslogin": a.object(depth)}
}

// attributes have names as users choose them.
func (a author) attributes() map[string]any {
	const letters = "aB-_.:\"\\<>&'{}[]@$^~0"
	attributes := map[string]any{}
	for range a.IntN(6) {
		attributes[a.letters(letters, 6)] = a.text()
	}
	return attributes
}

func (a author) object(depth int) map[string]any {
	object := map[string]any{}
	special := []string{"tags", "forwardedIps", "ipAliases", "disks", "licenses", "networkInterfaces"}
	for range a.IntN(6) {
		key := a.letters("abc", 2) + []string{"", "D", "Ef", "GH"}[a.IntN(4)]
		if a.IntN(4) == 0 {
			key = special[a.IntN(len(special))]
		}
		object[key] = a.value(depth - 1)
	}
	return object
}

func (a author) value(depth int) any {
	kind := a.IntN(6)
	switch {
	case kind == 0 && depth > 0:
		return a.object(depth)
	case kind == 1:
		return a.list(func() any { return a.scalar() })
	case kind == 2 && depth > 0:
		return a.list(func() any { return a.object(depth) })
	default:
		return a.scalar()
	}
}

func (a author) list(item func() any) []any {
	list := make([]any, a.IntN(13))
	for i := range list {
		list[i] = item()
	}
	return list
}

func (a author) scalar() any {
	switch a.IntN(4) {
	case 0:
		return json.Number(strconv.FormatUint(a.Uint64(), 10))
	case 1:
		return a.IntN(2) == 0
	default:
		return a.text()
	}
}

func (a author) text() string { return a.letters("ab \n\t\"\\<>&é\u2028\x00€/", 8) }

// letters is a text of at least one letter and of at most as many as there are to be.
func (a author) letters(alphabet string, most int) string {
	runes := []rune(alphabet)
	var out strings.Builder
	for range 1 + a.IntN(most) {
		out.WriteRune(runes[a.IntN(len(runes))])
	}
	return out.String()
}

// checkForms reads the JSON form of a tree, finds each of its values by its path, and makes
// the text form of it.
func checkForms(t *testing.T, tree *node) {
	t.Helper()
	var document map[string]any
	decoder := json.NewDecoder(strings.NewReader(tree.document().json.Body))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	reader := &formReader{T: t, tree: tree}
	reader.object("", document, fixtures.Naming{})
	if diff := cmp.Diff(reader.lines.String(), tree.document().text.Body); diff != "" {
		t.Errorf("the forms say different things (-JSON +text):\n%s", diff)
	}
}

// formReader follows a document.
type formReader struct {
	*testing.T

	tree  *node
	lines strings.Builder // the text form
}

func (r *formReader) object(path string, object map[string]any, naming fixtures.Naming) {
	keys := slices.SortedFunc(maps.Keys(object), func(a, b string) int { return strings.Compare(naming.Name(a), naming.Name(b)) })
	for _, key := range keys {
		r.value(strings.TrimPrefix(path+"/"+naming.Name(key), "/"), key, object[key], naming.Below(key))
	}
}

func (r *formReader) value(path, key string, value any, below fixtures.Naming) {
	r.readable(path, value)
	switch value := value.(type) {
	case map[string]any:
		r.object(path, value, below)
	case []any:
		numbered := slices.Contains([]string{"forwardedIps", "ipAliases"}, key)
		for i, item := range value {
			at := path + "/" + strconv.Itoa(i)
			object, isObject := item.(map[string]any)
			switch {
			case isObject:
				r.readable(at, item)
				r.object(at, object, below)
			case numbered:
				r.value(at, "", item, below)
			default:
				fmt.Fprintf(&r.lines, "%s %v\n", path, item)
			}
		}
	default:
		fmt.Fprintf(&r.lines, "%s %v\n", path, value)
	}
}

// readable makes sure that the value of the whole document is also that of its entry.
func (r *formReader) readable(path string, want any) {
	r.Helper()
	found, _, ok := lookUp(r.tree, path)
	if !ok {
		r.Errorf("%q is in the recursive form and cannot be read", path)
		return
	}
	asJSON := found.render(&query{recursive: true, form: jsonForm})
	var got any
	decoder := json.NewDecoder(strings.NewReader(asJSON.Body))
	decoder.UseNumber()
	if err := decoder.Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
		r.Errorf("%q is %s, and in the recursive form %v; %v", path, asJSON.Body, want, err)
	}
	if asText := found.render(&query{recursive: true, form: textForm}); asText.etag != asJSON.etag {
		r.Errorf("%q has ETag %s as text and %s as JSON", path, asText.etag, asJSON.etag)
	}
	if listing := found.listing(); found.kind == directory && listing.etag == asJSON.etag {
		r.Errorf("%q has one ETag as a listing and with what is below", path)
	}
}

// checkETags edits the document of a tree, and takes the edit back.
func checkETags(t *testing.T, tree *node, document map[string]any) {
	t.Helper()
	before := tree.document().json.etag
	attributes := document["project"].(map[string]any)["attributes"].(map[string]any)
	attributes["edited"] = "x"
	if edited := object("v1", document, fixtures.Naming{}); edited.document().json.etag == before {
		t.Error("another content has the same ETag")
	}
	delete(attributes, "edited")
	if restored := object("v1", document, fixtures.Naming{}); restored.document().json.etag != before {
		t.Error("the ETag does not come back with the content")
	}
}
