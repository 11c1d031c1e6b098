package control

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Answers of Google's Policy Troubleshooter
// (https://cloud.google.com/policy-intelligence/docs/reference/policytroubleshooter/rest/v1/iam/troubleshoot).
const (
	granted     = "GRANTED"
	notGranted  = "NOT_GRANTED"
	included    = "ROLE_PERMISSION_INCLUDED"
	notIncluded = "ROLE_PERMISSION_NOT_INCLUDED"
)

// bindingExplanation explains the effect of a binding on a principal and a permission.
type bindingExplanation struct {
	Access         string         `json:"access"`
	Resource       string         `json:"resource"` // whose policy has the binding
	Role           string         `json:"role"`
	RolePermission string         `json:"rolePermission"`
	Member         string         `json:"member"` // stands for the principal
	Condition      *iam.Condition `json:"condition,omitempty"`
	Holds          bool           `json:"conditionHolds"` // also true if there is no condition
}

// Troubleshoot decides whether a principal has a permission on a resource, and explains the effect of
// each binding for the principal. The decision is the same as in a strict emulator.
func (s *Server) Troubleshoot(r *http.Request) (wire.Response, error) {
	var asked struct {
		Principal  string `json:"principal"` // an e-mail address or a unique ID, or a member such as user:…
		Permission string `json:"permission"`
		Resource   string `json:"resource"` // named as in a fixture's policies; empty: the project
	}
	if err := readJSON(r, &asked); err != nil {
		return wire.Response{}, err
	}
	current := s.worlds.Load().State
	who, err := namedPrincipal(current, asked.Principal)
	if err != nil {
		return wire.Response{}, err
	}
	if !strings.Contains(asked.Permission, ".") {
		return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf(`%q is not a permission, such as "iam.serviceAccounts.signBlob"`, asked.Permission))
	}
	on, err := namedResource(current, asked.Resource)
	if err != nil {
		return wire.Response{}, err
	}
	now := s.clock.Now()
	answer := struct {
		Access       string               `json:"access"`
		Principal    string               `json:"principal"`
		Permission   string               `json:"permission"`
		Resource     string               `json:"resource"`
		Explanations []bindingExplanation `json:"bindingExplanations"`
		Roles        []string             `json:"roles"` // that include the permission
	}{
		access(current.May(who, asked.Permission, on, now)), who.Member(), asked.Permission, current.ResourceName(on),
		[]bindingExplanation{},
		current.RolesGranting(asked.Permission),
	}
	explained := current.Explain(who, asked.Permission, on, now)
	for _, resource := range slices.Sorted(maps.Keys(explained)) {
		for _, e := range explained[resource] {
			answer.Explanations = append(answer.Explanations, newExplanation(resource, e))
		}
	}
	return googleapi.JSON(answer), nil
}

func newExplanation(resource string, e iam.Explanation) bindingExplanation {
	explanation := bindingExplanation{
		Access: access(e.Grants()), Resource: resource, Role: e.Binding.Role, RolePermission: notIncluded,
		Member: e.Member, Condition: e.Binding.Condition, Holds: e.Holds,
	}
	if e.Gives {
		explanation.RolePermission = included
	}
	return explanation
}

// access writes a decision.
func access(isGranted bool) string {
	return map[bool]string{true: granted, false: notGranted}[isGranted]
}

// namedPrincipal returns the service account or the user that a text names.
func namedPrincipal(w *world.World, name string) (iam.Principal, error) {
	id := name
	for _, kind := range []string{"user:", "serviceAccount:"} {
		id = strings.TrimPrefix(id, kind)
	}
	who, ok := w.Principal(id)
	if !ok {
		return iam.Principal{}, googleapi.NotFound(fmt.Sprintf("there is no service account or user %q", name))
	}
	return who, nil
}

// namedResource returns the resource that a text names, or nil for the project.
func namedResource(w *world.World, name string) (world.Resource, error) {
	if service, ok := strings.CutPrefix(name, "services/"); ok {
		if found, known := w.Service(service); known {
			return found, nil
		}
		return nil, googleapi.NotFound(fmt.Sprintf("there is no service %q", service))
	}
	return chosenResource(w, name)
}
