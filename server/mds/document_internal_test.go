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
	"gcp-metadata-emulator/server/world/worldtest"
)

// This test is in package mds, as tree_internal_test.go is. It checks trees of random
// documents.

// FuzzDocument checks properties of every tree. Listed entries are readable, entries of the
// recursive form are listed, both forms agree, and ETags depend on the content only.
func FuzzDocument(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, seed*seed)
	}
	f.Fuzz(func(t *testing.T, seed, more uint64) {
		invented := func() map[string]any { return author{rand.New(rand.NewPCG(seed, more))}.document() }
		root := build(&world.Instance{Metadata: invented()}, nil)
		walk(t, root, root, "")
		all, _ := root.find("computeMetadata")
		checkForms(t, all)
		tree, _ := all.find("v1")
		checkETags(t, tree, invented())
		checkReuse(t, author{rand.New(rand.NewPCG(more, seed))})
	})
}

// author makes random documents.
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

// letters returns a random text of 1 to most letters.
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

// readable checks that an entry has the same value as in the whole document.
func (r *formReader) readable(path string, want any) {
	r.Helper()
	found, ok := lookUp(r.tree, path)
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
	if edited := entry("v1", document, fixtures.Naming{}, nil); edited.document().json.etag == before {
		t.Error("different contents have the same ETag")
	}
	delete(attributes, "edited")
	if restored := entry("v1", document, fixtures.Naming{}, nil); restored.document().json.etag != before {
		t.Error("the ETag does not come back with the content")
	}
}

// checkReuse edits a random world several times, and compares each tree with reused nodes to a
// new tree.
func checkReuse(t *testing.T, a author) {
	t.Helper()
	document := a.document()
	before := build(&world.Instance{Metadata: document}, nil)
	for range 3 {
		document = maps.Clone(document)
		section := []string{"instance", "project", "oslogin"}[a.IntN(3)]
		entries := maps.Clone(document[section].(map[string]any))
		document[section] = entries
		for key := range entries {
			if a.IntN(3) == 0 {
				delete(entries, key)
			}
		}
		for range a.IntN(3) {
			entries[a.letters("abc", 2)] = a.value(2)
		}
		edited := build(&world.Instance{Metadata: document}, before)
		fresh := build(&world.Instance{Metadata: document}, nil)
		if diff := cmp.Diff(fresh.document().text.Body, edited.document().text.Body); diff != "" {
			t.Fatalf("a tree made of an earlier one (-afresh +edited):\n%s", diff)
		}
		if edited.document().json.Body != fresh.document().json.Body {
			t.Fatalf("JSON differs: %s, afresh %s", edited.document().json.Body, fresh.document().json.Body)
		}
		walk(t, edited, edited, "")
		before = edited
	}
}

// An edit rebuilds only the nodes that it touches.
func TestUntouchedIsKept(t *testing.T) {
	t.Parallel()
	w := worldtest.Parse(t, "instances: [{name: a, metadata: {instance: {attributes: {k: v, l: w}}}}]")
	first := build(w.DefaultInstance(), nil)
	edited, err := w.WithMetadata(w.DefaultInstance(), "instance/attributes/k", "x")
	if err != nil {
		t.Fatal(err)
	}
	second := build(edited.DefaultInstance(), first)
	for path, kept := range map[string]bool{
		"project": true, "instance": false, "instance/disks": true, "instance/attributes": false,
		"instance/attributes/l": true, "instance/attributes/k": false, "instance/service-accounts/default/token": true,
	} {
		names := append([]string{"computeMetadata", "v1"}, strings.Split(path, "/")...)
		was, _ := first.find(names...)
		is, ok := second.find(names...)
		if !ok || (was == is) != kept {
			t.Errorf("%s: kept %v, want %v", path, was == is, kept)
		}
	}
	if got, _ := second.find("computeMetadata", "v1", "instance", "attributes"); got.document().json.Body != `{"k":"x","l":"w"}` {
		t.Errorf("attributes are %s", got.document().json.Body)
	}
}

// Endpoints replace recorded entries of the same names.
func TestEndpointsReplaceWhatWasRecorded(t *testing.T) {
	t.Parallel()
	account := &world.ServiceAccount{Email: "a@b"}
	root := build(&world.Instance{
		ServiceAccounts: []world.AttachedAccount{{Account: account, Aliases: []string{"default"}}},
		Metadata: map[string]any{"instance": map[string]any{"serviceAccounts": map[string]any{
			"default": map[string]any{"token": map[string]any{"access_token": "x"}, "identity": "y", "email": "a@b"},
		}}},
	}, nil)
	found, _ := root.find("computeMetadata", "v1", "instance", "service-accounts", "default")
	if got, want := found.listing().Body, "email\nidentity\ntoken\n"; got != want {
		t.Errorf("listed are %q, want %q", got, want)
	}
	if got, want := found.document().json.Body, `{"email":"a@b"}`; got != want {
		t.Errorf("the document is %s, want %s", got, want)
	}
}

// Two keys with the same name become a single entry, always of the same key.
func TestOneEntryForEachName(t *testing.T) {
	t.Parallel()
	for range 20 {
		root := build(&world.Instance{Metadata: map[string]any{"instance": map[string]any{"cpu-platform": "a", "cpuPlatform": "b", "x": "c"}}}, nil)
		instance, _ := root.find("computeMetadata", "v1", "instance")
		if got := instance.listing().Body; got != "cpu-platform\nx\n" {
			t.Fatalf("listed are %q", got)
		}
		if cpu, _ := instance.find("cpu-platform"); cpu.text != "a" {
			t.Fatalf("cpu-platform is %q", cpu.text)
		}
	}
}

// Empty lists of objects are directories.
func TestEmptyLists(t *testing.T) {
	t.Parallel()
	tree := treeOf(t, `{"instance":{"licenses":[],"networkInterfaces":[],"disks":[],"accessConfigs":[],"forwardedIps":[],"forwardedIpv6s":[],"ipAliases":[],"dnsServers":[],"tags":[]}}`)
	instance, _ := tree.find("instance")
	want := "access-configs/\ndisks/\ndns-servers\nforwarded-ips/\nforwarded-ipv6s/\nip-aliases/\nlicenses/\nnetwork-interfaces/\ntags\n"
	if got := instance.listing().Body; got != want {
		t.Errorf("listed are %q, want %q", got, want)
	}
}

// The cost of an edit of a large tree depends on the edit only.
func BenchmarkLeafAfterEdit(b *testing.B) {
	attributes := map[string]any{}
	for i := range 100_000 {
		attributes[fmt.Sprintf("key-%d", i)] = "value"
	}
	metadata := map[string]any{"instance": map[string]any{"attributes": attributes, "description": ""}}
	for name, edit := range map[string]func(map[string]any){
		"elsewhere": func(instance map[string]any) { instance["description"] = strconv.Itoa(rand.Int()) },
		"an attribute": func(instance map[string]any) {
			edited := maps.Clone(instance["attributes"].(map[string]any))
			edited["key-77"] = strconv.Itoa(rand.Int())
			instance["attributes"] = edited
		},
	} {
		b.Run(name, func(b *testing.B) {
			root := build(&world.Instance{Metadata: metadata}, nil)
			for b.Loop() {
				metadata = maps.Clone(metadata)
				instance := maps.Clone(metadata["instance"].(map[string]any))
				metadata["instance"] = instance
				edit(instance)
				root = build(&world.Instance{Metadata: metadata}, root)
			}
		})
	}
}
