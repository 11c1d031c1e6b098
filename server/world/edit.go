package world

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

var (
	// ErrNoEntry says that an instance or an entry of its metadata does not exist.
	ErrNoEntry = errors.New("there is no such entry")
	// ErrFixedEntry says that an entry cannot be edited.
	ErrFixedEntry = errors.New("the entry cannot be edited")
)

// Metadata is the value at a path of an instance's metadata tree, such as
// "instance/attributes/k", in the form it has in the document.
func (w *World) Metadata(instance *Instance, path string) (any, error) {
	var value any = instance.Metadata
	var naming Naming
	for _, name := range segments(path) {
		switch container := value.(type) {
		case map[string]any:
			key := naming.Key(name)
			below, ok := container[key]
			if !ok {
				return nil, fmt.Errorf("%w: %q", ErrNoEntry, path)
			}
			value, naming = below, naming.Below(key)
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(container) {
				return nil, fmt.Errorf("%w: %q", ErrNoEntry, path)
			}
			value = container[index]
		default:
			return nil, fmt.Errorf("%w: %q", ErrNoEntry, path)
		}
	}
	return value, nil
}

// WithMetadata is a world in which an entry of an instance's metadata has another value,
// a JSON value as in Instance.Metadata. Directories on the way are made where they are
// missing. What is below project/ is the same for every instance.
func (w *World) WithMetadata(instance *Instance, path string, value any) (*World, error) {
	return w.edit(instance, path, func(container any, name string, naming Naming) (any, error) {
		switch container := container.(type) {
		case map[string]any:
			edited := maps.Clone(container)
			edited[naming.Key(name)] = value
			return edited, nil
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index > len(container) {
				return nil, fmt.Errorf("%w: %q has no place %q", ErrNoEntry, path, name)
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
	return w.edit(instance, path, func(container any, name string, naming Naming) (any, error) {
		if list, ok := container.([]any); ok {
			index, err := strconv.Atoi(name)
			if err != nil {
				return nil, fmt.Errorf("%w: %q", ErrNoEntry, path)
			}
			return slices.Delete(slices.Clone(list), index, index+1), nil
		}
		object, _ := container.(map[string]any)
		edited := maps.Clone(object)
		delete(edited, naming.Key(name))
		return edited, nil
	})
}

// change gives a container another value under a name.
type change func(container any, name string, naming Naming) (any, error)

// edit changes the entry at a path. Nothing that the old world holds is touched.
func (w *World) edit(instance *Instance, path string, change change) (*World, error) {
	names := segments(path)
	if err := editable(names, path); err != nil {
		return nil, err
	}
	edited := *w
	edited.Instances = slices.Clone(w.Instances)
	edited.instancesByName = maps.Clone(w.instancesByName)
	for i, other := range w.Instances {
		if other != instance && names[0] != "project" {
			continue
		}
		metadata, err := descend(other.Metadata, names, Naming{}, change)
		if err != nil {
			return nil, err
		}
		replaced := *other
		replaced.Metadata, _ = metadata.(map[string]any)
		edited.Instances[i], edited.instancesByName[other.Name] = &replaced, &replaced
	}
	return &edited, nil
}

// editable refuses what is made from other parts of the world.
func editable(names []string, path string) error {
	const sections = 2
	if len(names) < sections {
		return fmt.Errorf("%w: %q; name one below instance/ or project/", ErrFixedEntry, path)
	}
	switch strings.Join(names[:2], "/") {
	case "instance/name", "instance/service-accounts", "project/project-id", "project/numeric-project-id", "universe/universe-domain":
		return fmt.Errorf("%w: %q is told by the fixture", ErrFixedEntry, path)
	default:
		return nil
	}
}

// descend changes the entry below a container, copying the containers on the way.
func descend(container any, names []string, naming Naming, change change) (any, error) {
	if len(names) == 1 {
		return change(container, names[0], naming)
	}
	switch container := container.(type) {
	case map[string]any:
		key := naming.Key(names[0])
		below, ok := container[key]
		if !ok {
			below = map[string]any{}
		}
		replaced, err := descend(below, names[1:], naming.Below(key), change)
		if err != nil {
			return nil, err
		}
		edited := maps.Clone(container)
		edited[key] = replaced
		return edited, nil
	case []any:
		index, err := strconv.Atoi(names[0])
		if err != nil || index < 0 || index >= len(container) {
			return nil, fmt.Errorf("%w: there is no place %q in a list", ErrNoEntry, names[0])
		}
		replaced, err := descend(container[index], names[1:], naming, change)
		if err != nil {
			return nil, err
		}
		edited := slices.Clone(container)
		edited[index] = replaced
		return edited, nil
	default:
		return nil, fmt.Errorf("%w: %q is not a directory", ErrFixedEntry, names[0])
	}
}

func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}
