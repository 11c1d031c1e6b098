package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
)

// waiterList is the answer of control.waiters.
type waiterList struct {
	Waiters []struct {
		Instance string    `json:"instance"`
		Path     string    `json:"path"`
		Since    time.Time `json:"since"`
	} `json:"waiters"`
	Count int `json:"count"`
}

// playing is an event of an instance that has not ended.
type playing struct {
	ID     string         `json:"id"`
	Type   string         `json:"type"`
	Set    map[string]any `json:"set"`
	Begins time.Time      `json:"begins"`
	Ends   time.Time      `json:"ends"`
}

// node is an entry of a metadata tree, with the entries below it.
type node struct {
	Name  string
	Path  string
	Value string // of a leaf
	Typed bool   // the value is not a text, and is edited as JSON
	Nodes []node
}

// metadata holds the data of the page of metadata.
type metadata struct {
	Instances []instance
	Instance  string
	Tree      []node
	Waiters   waiterList
	Events    []playing
	Types     []fixtures.EventType
	Edited    node // the entry in the form
}

func loadMetadata(v *visit) any {
	page := metadata{
		Instances: readWorld(v).Instances, Instance: v.Form.Get("instance"),
		Waiters: get[waiterList](v, "control.waiters"), Types: fixtures.EventTypes(),
	}
	if page.Instance == "" && len(page.Instances) > 0 {
		page.Instance = page.Instances[0].Name
	}
	for _, top := range []string{"instance", "project"} {
		page.Tree = append(page.Tree, newNode(top, "", read(v, page.Instance, top)))
	}
	var list struct {
		Events []playing `json:"events"`
	}
	v.ask(Operation{Name: "control.instances.events.list", Path: map[string]string{"instance": page.Instance}}, &list)
	page.Events = list.Events
	if path := v.Form.Get("path"); path != "" && v.Problem == "" {
		page.Edited = newNode(path, "", read(v, page.Instance, path))
	}
	return page
}

// read returns an entry of an instance's metadata.
func read(v *visit, instance, path string) any {
	var entry struct {
		Value any `json:"value"`
	}
	v.ask(Operation{Name: "control.metadata.get", Path: map[string]string{"instance": instance, "path": path}}, &entry)
	return entry.Value
}

// newNode returns the node of a value.
func newNode(name, above string, value any) node {
	n := node{Name: name, Path: above + name}
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			n.Nodes = append(n.Nodes, newNode(key, n.Path+"/", value[key]))
		}
		n.Value, n.Typed = encoded(value), true
	case []any:
		for i, item := range value {
			n.Nodes = append(n.Nodes, newNode(strconv.Itoa(i), n.Path+"/", item))
		}
		n.Value, n.Typed = encoded(value), true
	case string:
		n.Value = value
	case nil:
	default:
		n.Value, n.Typed = encoded(value), true
	}
	return n
}

// encoded returns a value as JSON.
func encoded(value any) string {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err.Error() // cannot happen: the value was JSON
	}
	return string(text)
}

func metadataActs() map[string]act {
	return map[string]act{
		"set":    {said: "The entry is set. Requests that waited for it have been answered.", op: setEntry, keep: "instance"},
		"delete": {said: "The entry is removed.", op: deleteEntry, keep: "instance"},
		"play":   {said: "The event has begun.", op: play, keep: "instance"},
		"cancel": {said: "The event has ended.", op: cancel, keep: "instance"},
	}
}

func setEntry(form url.Values) (Operation, error) {
	var value any = form.Get("value")
	if form.Has("json") {
		decoder := json.NewDecoder(strings.NewReader(form.Get("value")))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			return Operation{}, fmt.Errorf("the value is not JSON: %w", err)
		}
	}
	op, err := entryOf(form, "control.metadata.set")
	op.Body = map[string]any{"value": value}
	return op, err
}

func deleteEntry(form url.Values) (Operation, error) { return entryOf(form, "control.metadata.delete") }

// entryOf returns an operation on the entry that a form names.
func entryOf(form url.Values, name string) (Operation, error) {
	path := strings.Trim(strings.TrimSpace(form.Get("path")), "/")
	if path == "" {
		return Operation{}, errors.New("name the entry, such as instance/attributes/startup-script")
	}
	return Operation{Name: name, Path: map[string]string{"instance": form.Get("instance"), "path": path}}, nil
}

func play(form url.Values) (Operation, error) {
	return Operation{
		Name: "control.instances.events.play", Path: map[string]string{"instance": form.Get("instance")},
		Body: filled(form, "type", "in", "notice", "lasts"),
	}, nil
}

func cancel(form url.Values) (Operation, error) {
	return Operation{Name: "control.instances.events.cancel", Path: map[string]string{"instance": form.Get("instance"), "event": form.Get("event")}}, nil
}
