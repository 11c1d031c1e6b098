package control

import (
	"errors"
	"fmt"
	"net/http"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// entry is a value in an instance's metadata tree, as JSON.
type entry struct {
	Value any `json:"value"`
}

// Metadata returns an entry of an instance's metadata.
func (s *Server) Metadata(r *http.Request) (wire.Response, error) {
	current := s.worlds.Load().State
	instance, err := chosenInstance(current, r)
	if err != nil {
		return wire.Response{}, err
	}
	value, err := current.Metadata(instance, r.PathValue("path"))
	if err != nil {
		return wire.Response{}, editError(err)
	}
	return googleapi.JSON(entry{value}), nil
}

// SetMetadata sets an entry and answers with it. It wakes the requests that wait for a change of
// the entry.
func (s *Server) SetMetadata(r *http.Request) (wire.Response, error) {
	path := r.PathValue("path")
	value, err := readValue(r)
	if err != nil {
		return wire.Response{}, err
	}
	if err := s.edit(r, func(w *world.World, instance *world.Instance) (*world.World, error) {
		edited, err := w.WithMetadata(instance, path, value)
		if err != nil {
			return nil, err
		}
		instance, _ = edited.Instance(instance.Name)
		value, err = edited.Metadata(instance, path) // in canonical form
		return edited, err
	}); err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(entry{value}), nil
}

// DeleteMetadata removes an entry.
func (s *Server) DeleteMetadata(r *http.Request) (wire.Response, error) {
	if err := s.edit(r, func(w *world.World, instance *world.Instance) (*world.World, error) {
		return w.WithoutMetadata(instance, r.PathValue("path"))
	}); err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(struct{}{}), nil
}

// edit replaces the world with an edited version.
func (s *Server) edit(r *http.Request, change func(*world.World, *world.Instance) (*world.World, error)) error {
	err := s.worlds.Update(func(current *world.World) (*world.World, error) {
		instance, err := chosenInstance(current, r)
		if err != nil {
			return nil, err
		}
		return change(current, instance)
	})
	return editError(err)
}

// chosenInstance returns the instance in the path; "-" means the default instance.
func chosenInstance(w *world.World, r *http.Request) (*world.Instance, error) {
	name := r.PathValue("instance")
	if name == "-" {
		return w.DefaultInstance(), nil
	}
	instance, ok := w.Instance(name)
	if !ok {
		return nil, googleapi.NotFound(fmt.Sprintf("there is no instance %q", name))
	}
	return instance, nil
}

// readValue reads {"value": …}. Numbers keep their text.
func readValue(r *http.Request) (any, error) {
	var wanted entry
	if err := readJSON(r, &wanted); err != nil {
		return nil, err
	}
	if wanted.Value == nil {
		return nil, googleapi.InvalidArgument(`the body must be {"value": …}, with a string, number, boolean, list or object`)
	}
	return wanted.Value, nil
}

// editError turns an error of an edit into an API error.
func editError(err error) error {
	_, isValue := errors.AsType[*world.ValueError](err)
	misfit, isMisfit := errors.AsType[*fixtures.TreeError](err)
	switch {
	case isMisfit && misfit.Hint != "":
		return googleapi.InvalidArgument(err.Error() + "; hint: " + misfit.Hint)
	case errors.Is(err, world.ErrNoEntry):
		return googleapi.NotFound(err.Error())
	case errors.Is(err, event.ErrNoInstance): // it was there when the request came
		return googleapi.Aborted(err.Error() + ": it has just been removed or replaced")
	case isValue, errors.Is(err, world.ErrFixedEntry), errors.Is(err, world.ErrTooLarge):
		return googleapi.InvalidArgument(err.Error())
	default:
		return err
	}
}
