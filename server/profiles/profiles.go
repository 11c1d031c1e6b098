// Package profiles owns the default metadata tree of each kind of workload: a VM, a pod of GKE, a
// service of Cloud Run, a function, an App Engine app.
//
// It does not apply fixtures, recordings and edits to a tree: package world does. It does not serve a
// tree: package mds does.
package profiles

import (
	"encoding/json"
	"fmt"
	"strconv"

	"gcp-metadata-emulator/fixtures"
)

// Workload is an instance that needs a default tree.
type Workload struct {
	Profile    fixtures.Profile
	Name, Zone string
	ID         uint64 // of a VM or of the node of a pod
	Accounts   []Account
	Project    Project
}

// Account is a service account that a workload can use.
type Account struct {
	Email           string
	Aliases, Scopes []string
}

// Project is the project of a workload.
type Project struct {
	ID             string
	Number         uint64
	Attributes     map[string]string
	UniverseDomain string
}

// Tree returns the default tree as a JSON document in the shape of a ?recursive=true answer, with
// keys in the form of that answer: maps, slices, strings and json.Number for numbers.
func (w Workload) Tree() map[string]any {
	switch w.Profile {
	case fixtures.GKE:
		return w.gke()
	case fixtures.CloudRun, fixtures.CloudFunctions, fixtures.AppEngine:
		return w.serverless()
	case fixtures.GCE:
	}
	return w.gce()
}

// projectIDs returns the entries of the project that every profile has.
func (w Workload) projectIDs() map[string]any {
	return map[string]any{"numericProjectId": number(w.Project.Number), "projectId": w.Project.ID}
}

// zone returns the resource name of a zone.
func (w Workload) zone(name string) string {
	return fmt.Sprintf("projects/%d/zones/%s", w.Project.Number, name)
}

// zonalName returns the zonal DNS name of a VM. If the project ID has a domain, the domain comes last
// (https://cloud.google.com/compute/docs/internal-dns).
func (w Workload) zonalName() string {
	return w.Name + "." + w.Zone + ".c." + fixtures.Dotted(w.Project.ID) + ".internal"
}

// serviceAccounts lists each account under its e-mail address and under its aliases.
func (w Workload) serviceAccounts() map[string]any {
	listed := map[string]any{}
	for _, account := range w.Accounts {
		entry := map[string]any{
			"aliases": list(account.Aliases),
			"email":   account.Email,
			"scopes":  list(account.Scopes),
		}
		listed[account.Email] = entry
		for _, alias := range account.Aliases {
			listed[alias] = entry
		}
	}
	return listed
}

func list(texts []string) []any {
	items := make([]any, len(texts))
	for i, text := range texts {
		items[i] = text
	}
	return items
}

func number(n uint64) json.Number { return json.Number(strconv.FormatUint(n, 10)) }
