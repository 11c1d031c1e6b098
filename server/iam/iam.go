// Package iam answers one question: may this principal do this on that resource?
//
// It is pure: principals, policies, roles and permissions are values, as Google's Identity
// and Access Management has them (https://cloud.google.com/iam/docs/overview). Package world
// holds the policies, package token finds the principal of a credential, and the surfaces choose
// the words of a refusal.
package iam

import (
	"maps"
	"slices"
	"strings"
)

// CloudPlatform is the OAuth scope for every Google Cloud API. With it, the policies alone decide
// (https://cloud.google.com/compute/docs/access/service-accounts#scopes_best_practice).
const CloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// Kind is the kind of a principal.
type Kind string

// The kinds of principal. The zero value is the bearer of an unknown credential.
const (
	KindUnknown        Kind = ""
	KindServiceAccount Kind = "serviceAccount"
	KindUser           Kind = "user"
	KindFederated      Kind = "federated" // a workload of another identity provider
)

// Principal is the identity that a credential proves. It can be written as JSON and CBOR.
type Principal struct {
	Kind  Kind   `json:"kind,omitempty" cbor:"1,keyasint,omitempty"`
	Email string `json:"email,omitempty" cbor:"2,keyasint,omitempty"` // of a service account or user
	ID    string `json:"id,omitempty" cbor:"3,keyasint,omitempty"`    // the unique ID of a service account or user, or the subject of a federated principal

	// Pool is the workload identity pool of a federated principal:
	// projects/NUMBER/locations/global/workloadIdentityPools/POOL.
	Pool       string            `json:"pool,omitempty" cbor:"4,keyasint,omitempty"`
	Groups     []string          `json:"groups,omitempty" cbor:"5,keyasint,omitempty"`     // google.groups of its attribute mapping
	Attributes map[string]string `json:"attributes,omitempty" cbor:"6,keyasint,omitempty"` // attribute.NAME, without the prefix
}

const federatedHost = "//iam.googleapis.com/"

// Member returns the name of the principal in policies, logs and error messages
// (https://cloud.google.com/iam/docs/principal-identifiers). It is empty if the principal is unknown.
func (p Principal) Member() string {
	switch p.Kind {
	case KindServiceAccount, KindUser:
		return string(p.Kind) + ":" + p.Email
	case KindFederated:
		return "principal:" + federatedHost + p.Pool + "/subject/" + p.ID
	case KindUnknown:
	}
	return ""
}

// Identities returns every identifier of the principal in policies, except the fixture's groups:
// the principal itself, the sets that contain it, and the set of all principals.
func (p Principal) Identities() []string {
	const everybody = "allUsers"
	switch p.Kind {
	case KindServiceAccount:
		return []string{canonical(p.Member()), "allAuthenticatedUsers", everybody}
	case KindUser:
		_, domain, _ := strings.Cut(p.Email, "@")
		return []string{canonical(p.Member()), "domain:" + strings.ToLower(domain), "allAuthenticatedUsers", everybody}
	case KindFederated:
		return append(p.federatedIdentities(), everybody)
	case KindUnknown:
	}
	return []string{everybody}
}

func (p Principal) federatedIdentities() []string {
	set := "principalSet:" + federatedHost + p.Pool + "/"
	identities := []string{p.Member(), set + "*"}
	for _, group := range p.Groups {
		identities = append(identities, set+"group/"+group)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
		identities = append(identities, set+"attribute."+name+"/"+p.Attributes[name])
	}
	return identities
}

// canonical returns a member in the form for comparison. Case counts, except in e-mail addresses.
func canonical(member string) string {
	kind, _, _ := strings.Cut(member, ":")
	switch kind {
	case "user", "serviceAccount", "group", "domain":
		if !strings.Contains(member, "[") { // of a Kubernetes service account: PROJECT.svc.id.goog[NAMESPACE/NAME]
			return kind + ":" + strings.ToLower(member[len(kind)+1:])
		}
	}
	return member
}
