package world

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
)

// Fixture describes the present world, with every change since it was made: New makes the same
// world of it. The parts without changes keep their description.
func (w *World) Fixture() *fixtures.Fixture {
	f := *w.origin
	f.Source = fixtures.Source{} // positions in the file do not fit edited parts
	f.Project.Attributes = w.ProjectAttributes()
	f.ServiceAccounts = w.describedAccounts()
	f.Policies = w.describedPolicies()
	f.Roles = w.describedRoles()
	f.WorkloadIdentityPools = w.DescribedPools()
	f.InstanceGroups = w.InstanceGroups
	f.Instances = slices.Clone(f.Instances)
	for i, instance := range w.Instances {
		f.Instances[i].ServiceAccounts = w.describedAttachments(f.Instances[i].ServiceAccounts, instance)
	}
	unedited := New(f.WithoutExpressions())
	for i, instance := range w.Instances {
		if !reflect.DeepEqual(unedited.Instances[i].Metadata, instance.Metadata) {
			f.Instances[i] = unedited.describe(f.Instances[i], instance.Metadata)
		}
	}
	return &f
}

// describe returns the description of an instance, with another description of its metadata.
func (w *World) describe(f fixtures.Instance, metadata map[string]any) fixtures.Instance {
	f.Metadata, f.Without = nil, nil
	f.Metadata = additions(newInstance(w, f).Metadata, metadata)
	f.Without = superfluous(newInstance(w, f).Metadata, metadata, "")
	return f
}

// additions returns the entries that, merged over the document base, give it every value of
// wanted.
func additions(base, wanted map[string]any) map[string]any {
	added := map[string]any{}
	for key, value := range wanted {
		old, exists := base[key]
		below, isObject := old.(map[string]any)
		above, alsoObject := value.(map[string]any)
		switch {
		case exists && reflect.DeepEqual(old, value):
		case isObject && alsoObject:
			if more := additions(below, above); len(more) > 0 {
				added[key] = more
			}
		default:
			added[key] = value
		}
	}
	return added
}

// superfluous returns JSON pointers to the entries of a document that wanted lacks.
func superfluous(document, wanted any, at string) []string {
	var places []string
	switch document := document.(type) {
	case map[string]any:
		wanted, _ := wanted.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(document)) {
			place := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
			if value, ok := wanted[key]; ok {
				places = append(places, superfluous(document[key], value, place)...)
			} else {
				places = append(places, place)
			}
		}
	case []any:
		wanted, _ := wanted.([]any)
		for i := range min(len(document), len(wanted)) {
			places = append(places, superfluous(document[i], wanted[i], at+"/"+strconv.Itoa(i))...)
		}
	}
	return places
}

// without returns a copy of a document that lacks the entry at a JSON pointer (RFC 6901).
func without(document any, pointer string) any {
	name, rest, deeper := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	key := strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	switch document := document.(type) {
	case map[string]any:
		below, ok := document[key]
		if !ok {
			return document
		}
		edited := maps.Clone(document)
		if deeper {
			edited[key] = without(below, rest)
		} else {
			delete(edited, key)
		}
		return edited
	case []any:
		index, ok := step{name: key}.index(len(document))
		if !ok || !deeper {
			return document
		}
		edited := slices.Clone(document)
		edited[index] = without(document[index], rest)
		return edited
	default:
		return document
	}
}

// ProjectAttributes returns the attributes of the project. The metadata of every VM has a copy.
func (w *World) ProjectAttributes() map[string]string {
	for i, instance := range w.Instances {
		if instance.Profile != fixtures.GCE || w.origin.Instances[i].Recording.Exists() {
			continue
		}
		project, _ := instance.Metadata["project"].(map[string]any)
		attributes, _ := project["attributes"].(map[string]any)
		texts := make(map[string]string, len(attributes))
		for key, value := range attributes {
			if text, ok := value.(string); ok {
				texts[key] = text
			}
		}
		return texts
	}
	return w.origin.Project.Attributes
}

func (w *World) describedAccounts() []fixtures.ServiceAccount {
	list := make([]fixtures.ServiceAccount, 0, len(w.Accounts)+len(w.deleted))
	for _, account := range w.Accounts {
		if !fixtures.IsEmail(account.Email) {
			continue // it comes from a recording
		}
		described := account.described()
		if account.UniqueID == inventedID(account.Email) {
			described.UniqueID = ""
		}
		list = append(list, described)
	}
	for _, id := range slices.Sorted(maps.Keys(w.deleted)) {
		described := w.deleted[id].account.described()
		described.DeleteTime = w.deleted[id].at.UTC()
		list = append(list, described)
	}
	return list
}

func (a *ServiceAccount) described() fixtures.ServiceAccount {
	f := fixtures.ServiceAccount{
		Email: a.Email, UniqueID: a.UniqueID, DisplayName: a.DisplayName, Description: a.Description, Disabled: a.Disabled,
		DomainWideDelegation: a.DomainWideDelegation,
	}
	if a.MaxTokenLifetime != DefaultTokenLifetime {
		f.MaxTokenLifetime = fixtures.Duration(a.MaxTokenLifetime)
	}
	for _, key := range a.UploadedKeys {
		f.PublicKeys = append(f.PublicKeys, fixtures.PublicKey{Key: key})
	}
	if len(a.KeyStates) > 0 {
		f.KeyStates = make(map[string]string, len(a.KeyStates))
		for id, state := range a.KeyStates {
			f.KeyStates[id] = string(state)
		}
	}
	return f
}

// describedAttachments returns the description of an instance's accounts. A deleted account gets
// its unique ID, which distinguishes it from other accounts with its address.
func (w *World) describedAttachments(list []fixtures.AttachedAccount, instance *Instance) []fixtures.AttachedAccount {
	if len(list) != len(instance.ServiceAccounts) {
		return list // they come from a recording
	}
	list = slices.Clone(list)
	for i, attached := range instance.ServiceAccounts {
		list[i].UniqueID = ""
		if account, ok := w.Account(attached.Email); !ok || account.UniqueID != attached.Account.UniqueID {
			list[i].UniqueID = attached.Account.UniqueID
		}
	}
	return list
}

func (w *World) describedPolicies() []fixtures.Policy {
	list := []fixtures.Policy{}
	add := func(resource string, policy *iam.Policy) {
		if policy == nil || len(policy.Bindings) == 0 {
			return
		}
		described := fixtures.Policy{Resource: resource}
		for _, b := range policy.Bindings {
			described.Bindings = append(described.Bindings, fixtures.Binding{
				Role: b.Role, Members: b.Members, Condition: (*fixtures.Condition)(b.Condition),
			})
		}
		list = append(list, described)
	}
	add("project", w.Policy(nil))
	for _, account := range w.Accounts {
		add("serviceAccounts/"+account.Email, w.Policy(account))
	}
	for _, service := range w.Services() {
		add(fixtures.ServiceResource(service.Name), w.Policy(service))
	}
	for _, id := range slices.Sorted(maps.Keys(w.deleted)) {
		add("serviceAccounts/"+id, w.policies[id])
	}
	return list
}
