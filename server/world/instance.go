package world

import (
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"gcp-metadata-emulator/fixtures"
)

// Instance is a workload with a metadata server of its own.
type Instance struct {
	Name              string
	CreationTimestamp time.Time
	Listen            string // an address of its own, HOST:PORT; empty: none
	ServiceAccounts   []AttachedAccount

	// Metadata is what its metadata server serves, tokens aside, as a JSON document in the
	// shape of a ?recursive=true answer: maps, slices, strings, booleans, and json.Number
	// for numbers, exact to the last digit.
	Metadata map[string]any
}

// AttachedAccount is a service account that an instance runs as.
type AttachedAccount struct {
	Account *ServiceAccount
	Aliases []string
	Scopes  []string
}

func newInstance(w *World, f fixtures.Instance) *Instance {
	instance := &Instance{Name: f.Name, CreationTimestamp: f.CreationTimestamp, Listen: f.Listen}
	attachments := f.ServiceAccounts
	if f.Recording.Exists() {
		attachments = f.Recording.Accounts()
	}
	for _, attached := range attachments {
		if account, ok := w.Account(attached.Email); ok { // a fixture refers to accounts that exist
			instance.ServiceAccounts = append(instance.ServiceAccounts,
				AttachedAccount{Account: account, Aliases: attached.Aliases, Scopes: attached.Scopes})
		}
	}
	overlay, _ := canonicalDocument(f.Metadata, Naming{}).(map[string]any)
	instance.Metadata = merge(f.Recording.Over(gceMetadata(w, f, instance.ServiceAccounts)), overlay)
	return instance
}

// ID is the instance ID, a number in decimal digits.
func (i *Instance) ID() string { return i.text("instance", "id") }

// Zone is the resource name of the zone: projects/NUMBER/zones/ZONE.
func (i *Instance) Zone() string { return i.text("instance", "zone") }

// LicenseIDs are the IDs of the licences of its boot disk.
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

// merge lays a document over another. Objects are merged key by key; anything else is
// replaced. Neither document is changed.
func merge(base, over map[string]any) map[string]any {
	merged := make(map[string]any, len(base)+len(over))
	maps.Copy(merged, base)
	for key, value := range over {
		below, isObject := merged[key].(map[string]any)
		above, alsoObject := value.(map[string]any)
		if isObject && alsoObject {
			value = merge(below, above)
		}
		merged[key] = value
	}
	return merged
}

func jsonNumber(n uint64) json.Number { return json.Number(strconv.FormatUint(n, 10)) }
