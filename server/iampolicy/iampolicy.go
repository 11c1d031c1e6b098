// Package iampolicy is google.iam.v1.IAMPolicy: the methods that read, set and test the
// policies of resources, in the same form in every Google API
// (https://cloud.google.com/iam/docs/reference/rest/v1/Policy).
//
// The surfaces find the resource and authorize the caller. Package iam evaluates policies.
package iampolicy

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// conditionalVersion is the version of policies with conditions.
const conditionalVersion = 3

// Policies handles the policies of a world. If the resource of a method is nil, the method is for
// the policy of the project.
type Policies struct {
	worlds *store.Store[*world.World]
}

// New returns access to the policies of a world.
func New(worlds *store.Store[*world.World]) *Policies { return &Policies{worlds: worlds} }

// policyMessage is the Policy message. An empty policy has only an etag.
type policyMessage struct {
	Version  int           `json:"version,omitempty"`
	Etag     []byte        `json:"etag"`
	Bindings []iam.Binding `json:"bindings,omitempty"`
}

// message converts a policy for a client that supports the given version. If the client does not
// support conditions, a role with a condition gets a name of no role
// (https://cloud.google.com/iam/docs/troubleshooting-withcond).
func message(policy *iam.Policy, version int32) policyMessage {
	m := policyMessage{Etag: policy.Etag()}
	if policy == nil || len(policy.Bindings) == 0 {
		return m
	}
	m.Version, m.Bindings = 1, policy.Bindings
	switch {
	case !policy.Conditional():
	case version >= conditionalVersion:
		m.Version = conditionalVersion
	default:
		m.Bindings = slices.Clone(policy.Bindings)
		for i, b := range policy.Bindings {
			if b.Condition != nil {
				digest := iam.NewPolicy([]iam.Binding{b}).Etag()
				m.Bindings[i] = iam.Binding{Role: fmt.Sprintf("%s_withcond_%x", b.Role, digest), Members: b.Members}
			}
		}
	}
	return m
}

const versionParameter = "options.requestedPolicyVersion"

// Get handles getIamPolicy. The requested version is in the query or in the body.
func (p *Policies) Get(r *http.Request, on world.Resource) (wire.Response, error) {
	version, err := requestedVersion(r)
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, message(p.worlds.Load().State.Policy(on), version)), nil
}

func requestedVersion(r *http.Request) (int32, error) {
	if err := googleapi.CheckQuery(r, versionParameter); err != nil {
		return 0, err
	}
	m, err := googleapi.ReadMessage(r, "options", "resource")
	if err != nil {
		return 0, err
	}
	options, err := m.Message("options", "requested_policy_version")
	if err != nil {
		return 0, err
	}
	version, err := options.Int32("requested_policy_version")
	if err != nil {
		return 0, err
	}
	if text := r.URL.Query().Get(versionParameter); text != "" {
		number, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return 0, googleapi.InvalidArgument(fmt.Sprintf("Invalid value at '%s' (TYPE_INT32), %q", versionParameter, text))
		}
		version = int32(number)
	}
	return version, checkVersion(version)
}

func checkVersion(version int32) error {
	if version != 0 && version != 1 && version != conditionalVersion {
		return googleapi.InvalidArgument(fmt.Sprintf("Policy version %d is not supported. Valid values are 0, 1, and 3.", version))
	}
	return nil
}

// Set handles setIamPolicy. It replaces the policy unless the policy has changed since the
// caller read it.
func (p *Policies) Set(r *http.Request, on world.Resource) (wire.Response, error) {
	request, err := readSet(r)
	if err != nil {
		return wire.Response{}, err
	}
	var policy *iam.Policy
	err = p.worlds.Update(func(w *world.World) (*world.World, error) {
		policy = w.Policy(on)
		next := iam.NewPolicy(request.bindings)
		if err := request.check(w, policy, next); err != nil {
			return nil, err
		}
		if request.keepsBindings {
			return w, nil
		}
		policy = next
		return w.WithPolicy(on, policy), nil
	})
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, message(policy, max(1, request.version))), nil
}

// setRequest is the message of setIamPolicy.
type setRequest struct {
	version       int32
	etag          []byte
	bindings      []iam.Binding
	keepsBindings bool // the update mask does not name the bindings
}

func readSet(r *http.Request) (setRequest, error) {
	if err := googleapi.CheckQuery(r); err != nil {
		return setRequest{}, err
	}
	m, err := googleapi.ReadMessage(r, "policy", "update_mask", "resource")
	if err != nil {
		return setRequest{}, err
	}
	if !m.Has("policy") { // an empty policy would remove all permissions
		return setRequest{}, googleapi.InvalidArgument("The policy is missing.")
	}
	policy, err := m.Message("policy", "version", "etag", "bindings", "audit_configs")
	if err != nil {
		return setRequest{}, err
	}
	fields := googleapi.Fields{Message: policy}
	request := setRequest{version: fields.Int32("version"), etag: fields.Bytes("etag")}
	if fields.Err != nil {
		return setRequest{}, fields.Err
	}
	if request.keepsBindings, err = keepsBindings(m); err != nil {
		return setRequest{}, err
	}
	request.bindings, err = readBindings(policy)
	return request, err
}

// keepsBindings reports whether the update mask leaves the bindings as they are. The default
// mask is "bindings, etag".
func keepsBindings(m googleapi.Message) (bool, error) {
	mask, err := m.Mask("update_mask")
	if err != nil {
		return false, err
	}
	for _, path := range mask {
		if !slices.Contains([]string{"bindings", "etag", "version", "audit_configs", "*"}, path) {
			return false, googleapi.InvalidArgument(fmt.Sprintf("Invalid field path in update_mask: %q.", path))
		}
	}
	return len(mask) > 0 && !slices.Contains(mask, "bindings") && !slices.Contains(mask, "*"), nil
}

func readBindings(policy googleapi.Message) ([]iam.Binding, error) {
	messages, err := policy.Messages("bindings", "role", "members", "condition")
	if err != nil {
		return nil, err
	}
	var bindings []iam.Binding
	for _, m := range messages {
		fields := googleapi.Fields{Message: m}
		binding := iam.Binding{Role: fields.Text("role"), Members: fields.Texts("members")}
		if fields.Err != nil {
			return nil, fields.Err
		}
		if binding.Condition, err = readCondition(m); err != nil {
			return nil, err
		}
		if len(binding.Members) > 0 { // a binding without members grants nothing
			bindings = append(bindings, binding)
		}
	}
	return bindings, nil
}

func readCondition(binding googleapi.Message) (*iam.Condition, error) {
	if !binding.Has("condition") {
		return nil, nil //nolint:nilnil // the condition is optional
	}
	m, err := binding.Message("condition", "title", "description", "expression", "location")
	if err != nil {
		return nil, err
	}
	fields := googleapi.Fields{Message: m}
	condition := &iam.Condition{
		Title: fields.Text("title"), Description: fields.Text("description"), Expression: fields.Text("expression"),
	}
	if fields.Err == nil && (condition.Title == "" || condition.Expression == "") {
		return nil, googleapi.InvalidArgument("A condition needs a title and an expression.")
	}
	return condition, fields.Err
}

// check refuses an outdated or malformed policy.
func (s setRequest) check(w *world.World, current, next *iam.Policy) error {
	if err := checkVersion(s.version); err != nil {
		return err
	}
	if len(s.etag) > 0 && !bytes.Equal(s.etag, current.Etag()) {
		return googleapi.Aborted("There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.")
	}
	// A client that writes without an etag overwrites conditions, perhaps without knowing them.
	conditional := next.Conditional() || len(s.etag) > 0 && current.Conditional()
	if conditional && s.version != conditionalVersion {
		return googleapi.InvalidArgument("Specified policy version (" + strconv.Itoa(int(s.version)) + ") is not valid for a policy with conditions. Set it to 3.")
	}
	for _, binding := range s.bindings {
		if err := checkRole(w, current, binding.Role); err != nil {
			return err
		}
		for _, member := range binding.Members {
			if err := checkMember(w, member); err != nil {
				return err
			}
		}
	}
	return checkConditions(next)
}

// checkConditions refuses a policy with a condition that cannot be used.
func checkConditions(policy *iam.Policy) error {
	broken, isBroken := errors.AsType[*iam.BindingError](policy.Check())
	switch {
	case !isBroken:
		return nil
	case errors.Is(broken.Err, iam.ErrBasicRole):
		return googleapi.InvalidArgument("LintValidationUnits/BindingRoleAllowConditionCheck Error: Conditions can't be set on primitive roles")
	case errors.Is(broken.Err, iam.ErrPublicMember):
		return googleapi.InvalidArgument("Conditions can't be set on allUsers and allAuthenticatedUsers.")
	default:
		return googleapi.InvalidArgument("Condition expression compilation failed: " + broken.Err.Error())
	}
}

// checkRole refuses a role that cannot exist. Custom roles exist only in the world's project. It checks
// only the form of predefined roles, because the emulator does not know most of Google's roles. A
// deleted role can stay in a policy, but cannot be added to a policy.
func checkRole(w *world.World, current *iam.Policy, role string) error {
	if !fixtures.IsRole(role) {
		return googleapi.InvalidArgument(fmt.Sprintf("Role %s is not supported for this resource.", role))
	}
	if !strings.HasPrefix(role, "projects/") || current.Names(role) {
		return nil
	}
	if known, ok := w.Role(role); ok && known.DeleteTime.IsZero() {
		return nil
	}
	return googleapi.InvalidArgument(fmt.Sprintf("Role (%s) does not exist in the resource's hierarchy.", role))
}

// Test handles testIamPermissions. It returns the caller's permissions.
func (p *Policies) Test(r *http.Request, caller guard.Caller, on world.Resource) (wire.Response, error) {
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	m, err := googleapi.ReadMessage(r, "permissions", "resource")
	if err != nil {
		return wire.Response{}, err
	}
	permissions, err := m.Texts("permissions")
	if err != nil {
		return wire.Response{}, err
	}
	granted := struct {
		Permissions []string `json:"permissions,omitempty"`
	}{}
	for _, permission := range permissions {
		if permission == "" || strings.Contains(permission, "*") {
			return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf("Permission %s is not valid for this resource.", permission))
		}
		if caller.Has(permission, on) {
			granted.Permissions = append(granted.Permissions, permission)
		}
	}
	if len(granted.Permissions) < len(permissions) {
		caller.NoteUnknownRoles(on)
	}
	return googleapi.Reply(r, granted), nil
}
