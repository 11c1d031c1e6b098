package world

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/order"
	"gcp-metadata-emulator/server/profiles"
)

// Instance is a workload with a metadata server of its own.
type Instance struct {
	Name              string
	Profile           fixtures.Profile
	CreationTimestamp time.Time
	Listen            string             // an address of its own, HOST:PORT; may be empty
	Addresses         []fixtures.Network // from which it asks
	ServiceAccounts   []AttachedAccount
	Labels            map[string]string
	Subnetworks       []string // in the order of the network interfaces; may be shorter
	BindsTokens       bool     // the metadata server issues access tokens for a certificate chain
	LimitsGuest       bool     // queries of guest attributes beyond Google's limit are refused
	IsPod             bool     // a cluster that is watched has it, and not the fixture

	// Metadata is the content of its metadata server, without tokens, as a JSON document in the
	// shape of a ?recursive=true answer: maps, slices, strings, booleans, and json.Number
	// for numbers, exact to the last digit.
	Metadata map[string]any

	Service *Service // the service that it runs; nil: none

	Scenario []fixtures.Happening // package event plays it
}

// checkScenario sets the values of a scenario one after the other. If a value cannot be set, it
// returns the error of the first.
func (w *World) checkScenario(name string, scenario []fixtures.Happening) error {
	inOrder := slices.Clone(scenario)
	order.SortStable(inOrder, func(a, b fixtures.Happening) int { return cmp.Compare(a.At, b.At) })
	for _, happening := range inOrder {
		if happening.Recording.Exists() {
			instance, _ := w.Instance(name)
			w = w.WithRecording(instance, happening.Recording)
		}
		for _, path := range slices.Sorted(maps.Keys(happening.Set)) {
			instance, _ := w.Instance(name)
			next, err := w.WithMetadata(instance, path, happening.Set[path])
			if err != nil {
				return happening.Origin.Refuse(path, err)
			}
			w = next
		}
	}
	return nil
}

// AttachedAccount is a service account that an instance runs as.
type AttachedAccount struct {
	Account *ServiceAccount
	Email   string // its name in the listing
	Aliases []string
	Scopes  []string

	// Kubernetes is the Kubernetes service account, NAMESPACE/NAME, of a pod without an annotation.
	// It stands for no Google service account and gets no ID tokens.
	Kubernetes string

	// Impersonator is the Kubernetes service account, NAMESPACE/NAME, of a pod of the cluster that is
	// watched, if its annotation names the account. It needs a role on the account.
	Impersonator string
}

func newInstance(w *World, f fixtures.Instance) *Instance {
	f.Profile = cmp.Or(f.Profile, fixtures.GCE) // a fixture that was not read from a file may leave it out
	instance := &Instance{
		Name: f.Name, Profile: f.Profile, CreationTimestamp: f.CreationTimestamp, Listen: f.Listen, Addresses: f.Addresses,
		Labels: f.Labels, Subnetworks: f.Subnetworks, BindsTokens: f.BoundTokens, LimitsGuest: f.GuestAttributes.RateLimit, Scenario: f.Scenario,
	}
	attachments := f.ServiceAccounts
	if f.Recording.Exists() {
		attachments = f.Recording.Accounts()
	}
	for _, attached := range attachments {
		if account, ok := w.attachable(attached); ok { // a fixture refers to accounts that exist
			instance.ServiceAccounts = append(instance.ServiceAccounts,
				AttachedAccount{Account: account, Email: account.Email, Aliases: attached.Aliases, Scopes: attached.Scopes})
		}
	}
	if f.Profile == fixtures.GKE && len(instance.ServiceAccounts) == 0 {
		pod := workloadAccount(w, f.KubernetesServiceAccount)
		w.accountsByID[pod.Account.UniqueID] = pod.Account // so that its tokens have a principal
		instance.ServiceAccounts = []AttachedAccount{pod}
	}
	described := workload(w, f, instance.ServiceAccounts)
	overlay, _ := canonicalDocument(f.Metadata, fixtures.Naming{}).(map[string]any)
	if f.Profile == fixtures.GCE && !f.Recording.Exists() {
		described.Complete(overlay)
	}
	instance.Metadata = merge(f.Recording.Over(described.Tree()), overlay, fixtures.Naming{})
	for _, pointer := range f.Without {
		instance.Metadata, _ = without(instance.Metadata, pointer).(map[string]any)
	}
	instance.Service = newService(w, f, instance)
	return instance
}

// workload returns the data on which the default tree of an instance depends.
func workload(w *World, f fixtures.Instance, accounts []AttachedAccount) profiles.Workload {
	described := profiles.Workload{
		Profile: f.Profile, Name: f.Name, Zone: f.Zone, ID: inventedInstanceID(w.Project.ID, f.Name),
		Project: profiles.Project{
			ID: w.Project.ID, Number: w.Project.Number, Attributes: w.origin.Project.Attributes, UniverseDomain: w.UniverseDomain,
		},
	}
	for _, attached := range accounts {
		described.Accounts = append(described.Accounts, profiles.Account{Email: attached.Email, Aliases: attached.Aliases, Scopes: attached.Scopes})
	}
	return described
}

// ID returns the instance ID, a number in decimal digits.
func (i *Instance) ID() string { return i.text("instance", "id") }

// Zone returns the resource name of the zone: projects/NUMBER/zones/ZONE.
func (i *Instance) Zone() string { return i.text("instance", "zone") }

// LicenseIDs returns the IDs of the licences of its boot disk.
func (i *Instance) LicenseIDs() []string {
	section, _ := i.Metadata["instance"].(map[string]any)
	licenses, _ := section["licenses"].([]any)
	ids := make([]string, 0, len(licenses))
	for _, license := range licenses {
		entry, _ := license.(map[string]any)
		if id, ok := entry["id"].(string); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func (i *Instance) text(section, key string) string {
	entries, _ := i.Metadata[section].(map[string]any)
	switch value := entries[key].(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	default:
		return ""
	}
}

// merge merges the document over into base, and uses the form of the keys that base has. Objects
// are merged key by key; other values are replaced. merge changes neither document.
func merge(base, over map[string]any, naming fixtures.Naming) map[string]any {
	merged := make(map[string]any, len(base)+len(over))
	maps.Copy(merged, base)
	for text, value := range over {
		key := keyIn(base, text, naming)
		below, isObject := merged[key].(map[string]any)
		above, alsoObject := value.(map[string]any)
		if isObject && alsoObject {
			value = merge(below, above, naming.Below(key))
		}
		merged[key] = value
	}
	return merged
}
