package world

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"gcp-metadata-emulator/fixtures"
)

// ErrLastInstance says that an instance cannot be removed because it is the only instance.
var ErrLastInstance = errors.New("the only instance cannot be removed")

// WithInstance returns a world with this instance. If there is an instance with the same name, the
// new instance replaces it.
func (w *World) WithInstance(f fixtures.Instance) *World {
	edited := *w
	edited.accountsByID = maps.Clone(w.accountsByID) // a pod adds its own account
	origin := *w.origin
	origin.Instances = slices.Clone(origin.Instances)
	edited.Instances = slices.Clone(w.Instances)
	edited.instancesByName = maps.Clone(w.instancesByName)

	edited.origin = &origin
	instance := newInstance(&edited, f)
	if i := w.indexOfInstance(f.Name); i >= 0 {
		origin.Instances[i], edited.Instances[i] = f, instance
	} else {
		origin.Instances, edited.Instances = append(origin.Instances, f), append(edited.Instances, instance)
	}
	edited.instancesByName[f.Name] = instance
	edited.deriveFromInstances()
	return &edited
}

// WithoutInstance returns a world without an instance, and without the policy of its service. The
// error is ErrNoEntry or ErrLastInstance.
func (w *World) WithoutInstance(name string) (*World, error) {
	i := w.indexOfInstance(name)
	switch {
	case i < 0:
		return nil, fmt.Errorf("%w: %q", ErrNoEntry, name)
	case len(w.Instances) == 1:
		return nil, fmt.Errorf("%w: %q", ErrLastInstance, name)
	}
	edited := *w
	origin := *w.origin
	origin.Instances = slices.Delete(slices.Clone(origin.Instances), i, i+1)
	edited.origin = &origin
	edited.Instances = slices.Delete(slices.Clone(w.Instances), i, i+1)
	edited.instancesByName = maps.Clone(w.instancesByName)
	delete(edited.instancesByName, name)
	edited.policies = maps.Clone(w.policies)
	delete(edited.policies, fixtures.ServiceResource(name))
	edited.removeFromGroups(name)
	edited.deriveFromInstances()
	return &edited, nil
}

// removeFromGroups removes an instance from the instance groups of a world under construction.
func (w *World) removeFromGroups(name string) {
	w.InstanceGroups = slices.Clone(w.InstanceGroups)
	for i, group := range w.InstanceGroups {
		isRemoved := func(member string) bool { return member == name }
		w.InstanceGroups[i].Instances = slices.DeleteFunc(slices.Clone(group.Instances), isRemoved)
	}
}

func (w *World) indexOfInstance(name string) int {
	return slices.IndexFunc(w.Instances, func(i *Instance) bool { return i.Name == name })
}

// deriveFromInstances derives the URLs of services, the pool of clusters and the owners of addresses
// from the instances of a world under construction.
func (w *World) deriveFromInstances() {
	w.networks = networksOf(w.Instances)
	w.podsAreLike = ""
	if i := slices.IndexFunc(w.Instances, func(i *Instance) bool { return i.Profile == fixtures.GKE }); i >= 0 {
		w.podsAreLike = w.Instances[i].Name
	}
	w.clusters = nil
	w.addClusters()
	w.servicesByHost = map[string][]serviceURL{}
	for _, service := range w.Services() {
		w.addServiceURLs(service)
	}
}

// Keeping returns the world with the equal instances of an earlier world in place of its own. Values
// derived from an instance, such as its rendered metadata, thus stay valid.
func (w *World) Keeping(earlier *World) *World {
	if earlier == nil {
		return w
	}
	kept := *w
	kept.Instances, kept.instancesByName = slices.Clone(w.Instances), maps.Clone(w.instancesByName)
	for i, instance := range w.Instances {
		if same, ok := earlier.Instance(instance.Name); ok && reflect.DeepEqual(same, instance) {
			kept.Instances[i], kept.instancesByName[instance.Name] = same, same
		}
	}
	kept.deriveFromInstances()
	return &kept
}
