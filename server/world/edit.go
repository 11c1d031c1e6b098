package world

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gcp-metadata-emulator/fixtures"
)

var (
	// ErrNoEntry says that an instance or an entry of its metadata does not exist.
	ErrNoEntry = errors.New("there is no such entry")
	// ErrFixedEntry says that an entry cannot be edited.
	ErrFixedEntry = errors.New("the entry cannot be edited")
	// ErrTooLarge says that attributes would be larger than Google keeps.
	ErrTooLarge = errors.New("the metadata would be too large")
)

// step is one level of a path: the name as it was given, and the key or index that it is in
// the document.
type step struct {
	name string
	key  string
}

// index is the place in a list of a length that a step names.
func (s step) index(length int) (int, bool) {
	index, err := strconv.Atoi(s.name)
	return index, err == nil && strconv.Itoa(index) == s.name && index >= 0 && index < length
}

// steps takes a path apart. Names may be those of the tree or the keys of the document.
func steps(document any, path string) ([]step, error) {
	var steps []step
	var naming Naming
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' }) {
		if _, isList := document.([]any); isList {
			steps = append(steps, step{name: name, key: name})
		} else {
			key := naming.canonical(name)
			if _, recorded := child(document, step{key: name}); recorded {
				key = name // whatever its form
			}
			if name != key && name != naming.Name(key) || !isText(name) {
				return nil, fmt.Errorf("%w: %q cannot be a name", ErrFixedEntry, name)
			}
			steps, naming = append(steps, step{name: name, key: key}), naming.Below(key)
		}
		document, _ = child(document, steps[len(steps)-1])
	}
	return steps, nil
}

// isText tells whether a name can stand in a path and on a line of a listing as it is.
func isText(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '%' || r == '/' || r >= 0x7f })
}

// child is what a container has at a step.
func child(container any, s step) (any, bool) {
	switch container := container.(type) {
	case map[string]any:
		value, ok := container[s.key]
		return value, ok
	case []any:
		if index, ok := s.index(len(container)); ok {
			return container[index], true
		}
	}
	return nil, false
}

// Metadata is the value at a path of an instance's metadata tree, such as
// "instance/attributes/k", in the form it has in the document.
func (w *World) Metadata(instance *Instance, path string) (any, error) {
	var value any = instance.Metadata
	steps, err := steps(value, path)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		below, ok := child(value, step)
		if !ok {
			return nil, fmt.Errorf("%w: %q", ErrNoEntry, path)
		}
		value = below
	}
	return value, nil
}

// WithMetadata is a world in which an entry of an instance's metadata has another value,
// a JSON value as in Instance.Metadata and of the kind that the entry has. Directories on
// the way are made where they are missing. What is below project/ is the same for every
// instance.
func (w *World) WithMetadata(instance *Instance, path string, value any) (*World, error) {
	return w.edit(instance, path, func(container any, at step) (any, error) {
		if old, exists := child(container, at); exists && kindOf(old) != kindOf(value) {
			return nil, fmt.Errorf("%w: %q is %s", ErrFixedEntry, path, kindOf(old))
		}
		switch container := container.(type) {
		case map[string]any:
			edited := maps.Clone(container)
			edited[at.key] = value
			return edited, nil
		case []any:
			index, ok := at.index(len(container) + 1)
			if !ok {
				return nil, fmt.Errorf("%w: %q has no place %q", ErrNoEntry, path, at.name)
			}
			edited := slices.Clone(container)
			if index == len(container) {
				return append(edited, value), nil
			}
			edited[index] = value
			return edited, nil
		default:
			return nil, fmt.Errorf("%w: %q is not in a directory", ErrFixedEntry, path)
		}
	})
}

// WithoutMetadata is a world in which an instance's metadata lacks an entry.
func (w *World) WithoutMetadata(instance *Instance, path string) (*World, error) {
	if _, err := w.Metadata(instance, path); err != nil {
		return nil, err
	}
	return w.edit(instance, path, func(container any, at step) (any, error) {
		switch container := container.(type) {
		case map[string]any:
			edited := maps.Clone(container)
			delete(edited, at.key)
			return edited, nil
		case []any:
			if index, ok := at.index(len(container)); ok {
				return slices.Delete(slices.Clone(container), index, index+1), nil
			}
		}
		return container, nil // another instance, which has no such entry
	})
}

// kindOf says what a value is, in words for people.
func kindOf(value any) string {
	switch value.(type) {
	case map[string]any:
		return "a directory"
	case []any:
		return "a list"
	default:
		return "a single value"
	}
}

// change gives a container another value at a step.
type change func(container any, at step) (any, error)

// edit changes the entry at a path. Nothing that the old world holds is touched.
func (w *World) edit(instance *Instance, path string, change change) (*World, error) {
	steps, err := steps(instance.Metadata, path)
	if err != nil {
		return nil, err
	}
	if err := editable(instance.Profile, steps, path); err != nil {
		return nil, err
	}
	edited := *w
	edited.Instances = slices.Clone(w.Instances)
	edited.instancesByName = maps.Clone(w.instancesByName)
	for i, other := range w.Instances {
		if other != instance && (steps[0].key != "project" || !serves(other.Profile, steps)) {
			continue
		}
		metadata, err := descend(other.Metadata, steps, change)
		if err != nil {
			return nil, err
		}
		if err := checkSize(metadata, steps, path); err != nil {
			return nil, err
		}
		replaced := *other
		replaced.Metadata, _ = metadata.(map[string]any)
		edited.Instances[i], edited.instancesByName[other.Name] = &replaced, &replaced
	}
	return &edited, nil
}

// editable refuses what is made from other parts of the world.
func editable(profile fixtures.Profile, steps []step, path string) error {
	const sections = 2
	if len(steps) < sections || steps[0].key != "instance" && steps[0].key != "project" && steps[0].key != "oslogin" {
		return fmt.Errorf("%w: %q; name one below instance/ or project/", ErrFixedEntry, path)
	}
	switch steps[0].key + "/" + steps[1].key {
	case "instance/name", "instance/id", "instance/zone", "instance/serviceAccounts", "project/projectId", "project/numericProjectId":
		return fmt.Errorf("%w: %q is told by the fixture", ErrFixedEntry, path)
	}
	if !serves(profile, steps) {
		return fmt.Errorf("%w: the metadata of profile %q has no %q", ErrFixedEntry, profile, path)
	}
	return nil
}

// serves tells whether instances of a profile can have an entry.
func serves(profile fixtures.Profile, steps []step) bool {
	keys, limited := profile.Metadata(steps[0].key)
	return !limited || slices.Contains(keys, steps[1].key)
}

// checkSize refuses attributes that are larger than Google keeps. Those that the instance
// writes itself have the same limits.
func checkSize(metadata any, steps []step, path string) error {
	if steps[1].key != "attributes" && steps[1].key != "guestAttributes" {
		return nil
	}
	section, _ := child(metadata, steps[0])
	attributes, _ := child(section, steps[1])
	total, largest := size(attributes)
	if largest > fixtures.MaxAttribute || total > fixtures.MaxAttributes {
		return fmt.Errorf("%w: %q; a value has up to %d bytes, and all of them with their keys up to %d",
			ErrTooLarge, path, fixtures.MaxAttribute, fixtures.MaxAttributes)
	}
	return nil
}

// size counts the bytes of the keys and texts in a value, and of its largest text.
func size(value any) (total, largest int) {
	if text, ok := value.(string); ok {
		return len(text), len(text)
	}
	directory, _ := value.(map[string]any)
	for key, below := range directory {
		all, one := size(below)
		total, largest = total+len(key)+all, max(largest, one)
	}
	return total, largest
}

// descend changes the entry below a container, copying the containers on the way.
func descend(container any, steps []step, change change) (any, error) {
	at := steps[0]
	if len(steps) == 1 {
		return change(container, at)
	}
	below, ok := child(container, at)
	switch container := container.(type) {
	case map[string]any:
		if !ok {
			below = map[string]any{}
		}
		replaced, err := descend(below, steps[1:], change)
		if err != nil {
			return nil, err
		}
		edited := maps.Clone(container)
		edited[at.key] = replaced
		return edited, nil
	case []any:
		if !ok {
			return nil, fmt.Errorf("%w: there is no place %q in a list", ErrNoEntry, at.name)
		}
		replaced, err := descend(below, steps[1:], change)
		if err != nil {
			return nil, err
		}
		edited := slices.Clone(container)
		index, _ := at.index(len(container))
		edited[index] = replaced
		return edited, nil
	default:
		return nil, fmt.Errorf("%w: %q is not in a directory", ErrFixedEntry, at.name)
	}
}
