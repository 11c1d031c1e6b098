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
	// ErrTooLarge says that attributes would exceed Google's limits.
	ErrTooLarge = errors.New("the metadata would be too large")
)

// step is one level of a path: the name in the path, and its key or index in the document.
type step struct {
	name string
	key  string
}

// index returns the index that a step names in a list of this length.
func (s step) index(length int) (int, bool) {
	index, err := strconv.Atoi(s.name)
	return index, err == nil && strconv.Itoa(index) == s.name && index >= 0 && index < length
}

// place is the target of a path.
type place struct {
	path     string
	steps    []step
	naming   fixtures.Naming // of the entries below
	twoKinds bool            // the value can be a string, and can be a directory
}

// entry returns the section of a place, and the entry in this section, by their usual keys.
func (p place) entry() (section, key string) {
	var naming fixtures.Naming
	return naming.Canonical(p.steps[0].key), naming.Canonical(p.steps[1].key)
}

func (p place) last() step { return p.steps[len(p.steps)-1] }

// locate parses a path. Its names may be names of the tree or keys of the document.
func locate(document any, path string) (place, error) {
	to := place{path: path}
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' }) {
		at := step{name: name, key: name}
		to.twoKinds = false
		if entries, isDirectory := document.(map[string]any); isDirectory || document == nil {
			at.key = keyIn(entries, name, to.naming)
			if !fixtures.IsEntryName(name) || name != at.key && name != to.naming.Name(at.key) && name != to.naming.Canonical(name) {
				return to, fmt.Errorf("%w: %q cannot be a name", ErrFixedEntry, name)
			}
			to.twoKinds, to.naming = to.naming.HasTwoKinds(at.key), to.naming.Below(at.key)
		}
		to.steps = append(to.steps, at)
		document, _ = child(document, at)
	}
	return to, nil
}

// keyIn returns the key of a directory for a key or a name. Keys of a recording can have any form.
// If the directory has no such key, keyIn returns the usual form.
func keyIn(directory map[string]any, text string, naming fixtures.Naming) string {
	if _, exists := directory[text]; exists || naming.AreChosen() {
		return text
	}
	key := naming.Canonical(text)
	if _, exists := directory[key]; exists {
		return key
	}
	for recorded := range directory {
		if naming.Canonical(recorded) == key {
			return recorded
		}
	}
	return key
}

// child returns the value of a container at a step.
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

// Metadata returns the value at a path of an instance's metadata tree, such as
// "instance/attributes/k", in the form of the document.
func (w *World) Metadata(instance *Instance, path string) (any, error) {
	var value any = instance.Metadata
	to, err := locate(value, path)
	if err != nil {
		return nil, err
	}
	for _, step := range to.steps {
		below, ok := child(value, step)
		if !ok {
			return nil, fmt.Errorf("%w: %q", ErrNoEntry, path)
		}
		value = below
	}
	return value, nil
}

// WithMetadata returns a world in which an entry of an instance's metadata has another value. The
// value is a JSON value as in Instance.Metadata, with keys in either form, and of the same kind as
// the present value unless the entry can have two kinds. WithMetadata makes missing directories.
// An entry below project/ changes for every instance. The error may be a ValueError, and may wrap a
// fixtures.TreeError.
func (w *World) WithMetadata(instance *Instance, path string, value any) (*World, error) {
	edited, err := w.set(instance, path, value)
	if err != nil {
		return nil, err
	}
	for i, before := range w.Instances {
		if edited.Instances[i] == before {
			continue
		}
		if err := before.fitsTree(path, value); err != nil {
			return nil, err
		}
	}
	return edited, nil
}

// fitsTree refuses a value at a path if a fixture could not have it there.
func (i *Instance) fitsTree(path string, value any) error {
	if _, limited := i.Profile.Metadata("instance"); limited {
		return nil
	}
	steps := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if misfit := fixtures.CheckSetting(steps, value, i.Metadata); misfit != nil {
		return fmt.Errorf("%w: %w", ErrFixedEntry, misfit)
	}
	return nil
}

// set is WithMetadata without the check whether a VM has such an entry.
func (w *World) set(instance *Instance, path string, value any) (*World, error) {
	return w.edit(instance, path, func(container any, to place) (any, error) {
		at := to.last()
		if old, exists := child(container, at); exists && kindOf(old) != kindOf(value) && !to.twoKinds {
			return nil, fmt.Errorf("%w: %q is %s", ErrFixedEntry, path, kindOf(old))
		}
		value, err := to.accept(value)
		if err != nil {
			return nil, err
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

// WithRecording returns a world in which an instance has the metadata of another recording, with the
// fixture's metadata merged over it. Earlier edits are gone, as they are from the recorded server.
func (w *World) WithRecording(instance *Instance, recording fixtures.Recording) *World {
	at := slices.IndexFunc(w.origin.Instances, func(f fixtures.Instance) bool { return f.Name == instance.Name })
	origin := *w.origin
	origin.Instances = slices.Clone(origin.Instances)
	origin.Instances[at].Recording = recording
	edited := *w
	edited.origin, edited.accountsByID = &origin, maps.Clone(w.accountsByID)
	edited.Instances, edited.instancesByName = slices.Clone(w.Instances), maps.Clone(w.instancesByName)
	replaced := newInstance(&edited, origin.Instances[at])
	edited.Instances[slices.Index(w.Instances, instance)], edited.instancesByName[instance.Name] = replaced, replaced
	return &edited
}

// WithoutMetadata returns a world in which an instance's metadata lacks an entry.
func (w *World) WithoutMetadata(instance *Instance, path string) (*World, error) {
	if _, err := w.Metadata(instance, path); err != nil {
		return nil, err
	}
	return w.edit(instance, path, func(container any, to place) (any, error) {
		at := to.last()
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

// kindOf describes the kind of a value in error messages.
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

// change returns a container with another value at the last step of a place.
type change func(container any, to place) (any, error)

// edit changes the entry at a path. The old world keeps its values.
func (w *World) edit(instance *Instance, path string, change change) (*World, error) {
	to, err := locate(instance.Metadata, path)
	if err != nil {
		return nil, err
	}
	if instance.IsPod {
		return nil, fmt.Errorf("%w: %q of the pod %q comes from its cluster", ErrFixedEntry, path, instance.Name)
	}
	if err := editable(instance.Profile, to); err != nil {
		return nil, err
	}
	section, _ := to.entry()
	edited := *w
	edited.Instances = slices.Clone(w.Instances)
	edited.instancesByName = maps.Clone(w.instancesByName)
	for i, other := range w.Instances {
		if other != instance && (section != "project" || !serves(other.Profile, to)) {
			continue
		}
		replaced := *other
		if replaced.Metadata, err = changed(other.Metadata, path, change); err != nil {
			return nil, err
		}
		edited.Instances[i], edited.instancesByName[other.Name] = &replaced, &replaced
	}
	return &edited, nil
}

// changed returns the metadata of an instance with another entry at a path.
func changed(metadata map[string]any, path string, change change) (map[string]any, error) {
	to, err := locate(metadata, path) // each instance may have other forms of the keys
	if err != nil {
		return nil, err
	}
	result, err := descend(metadata, to.steps, to, change)
	if err != nil {
		return nil, err
	}
	after, _ := result.(map[string]any)
	return after, to.checkSize(metadata, after)
}

// editable returns an error for entries that the emulator derives from other parts of the world.
func editable(profile fixtures.Profile, to place) error {
	const sections = 2
	if len(to.steps) < sections {
		return fmt.Errorf("%w: %q; %s", ErrFixedEntry, to.path, editableSections)
	}
	section, key := to.entry()
	if section != "instance" && section != "project" && section != "oslogin" {
		return fmt.Errorf("%w: %q; %s", ErrFixedEntry, to.path, editableSections)
	}
	switch section + "/" + key {
	case "instance/name", "instance/id", "instance/zone", "instance/serviceAccounts", "project/projectId", "project/numericProjectId":
		return fmt.Errorf("%w: %q is set by the fixture", ErrFixedEntry, to.path)
	}
	if !serves(profile, to) {
		return fmt.Errorf("%w: the metadata of profile %q cannot have %q", ErrFixedEntry, profile, to.path)
	}
	return nil
}

const editableSections = "give a path below instance/, project/ or oslogin/"

// serves reports whether instances of a profile can have an entry.
func serves(profile fixtures.Profile, to place) bool {
	section, key := to.entry()
	keys, limited := profile.Metadata(section)
	return !limited || slices.Contains(keys, key)
}

// checkSize refuses an edit if attributes then exceed Google's limits. The instance itself writes
// guest attributes; they have the same limits.
func (p place) checkSize(before, after map[string]any) error {
	if _, key := p.entry(); key != "attributes" && key != "guestAttributes" {
		return nil
	}
	total, largest := p.size(after)
	if total <= fixtures.MaxAttributes && largest <= fixtures.MaxAttribute {
		return nil
	}
	wasTotal, wasLargest := p.size(before) // recorded attributes may be larger, and an edit may shrink them
	if total <= max(wasTotal, fixtures.MaxAttributes) && largest <= max(wasLargest, fixtures.MaxAttribute) {
		return nil
	}
	return fmt.Errorf("%w: %q; a value has up to %d bytes, and all values with their keys up to %d",
		ErrTooLarge, p.path, fixtures.MaxAttribute, fixtures.MaxAttributes)
}

// size counts the bytes of the attributes beside a place.
func (p place) size(metadata map[string]any) (total, largest int) {
	section, _ := child(metadata, p.steps[0])
	attributes, _ := child(section, p.steps[1])
	return size(attributes)
}

// size counts the bytes of the keys and strings in a value, and of its largest string.
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

// descend changes the entry at the end of the steps below a container. It copies the containers
// on the way.
func descend(container any, steps []step, to place, change change) (any, error) {
	at := steps[0]
	if len(steps) == 1 {
		return change(container, to)
	}
	below, ok := child(container, at)
	switch container := container.(type) {
	case map[string]any:
		if !ok {
			below = map[string]any{}
		}
		replaced, err := descend(below, steps[1:], to, change)
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
		replaced, err := descend(below, steps[1:], to, change)
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
