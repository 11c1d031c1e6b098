package iampools

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
)

// settings is a provider as a fixture describes it, in JSON. A setting that is missing is not set.
type settings map[string]any

// paths returns the settings of each field of the WorkloadIdentityPoolProvider message that can be
// changed, by its path in an update mask.
func paths() map[string][]string {
	return map[string][]string{
		"display_name":           {"displayName"},
		"description":            {"description"},
		"disabled":               {"disabled"},
		"attribute_mapping":      {"attributeMapping"},
		"attribute_condition":    {"attributeCondition"},
		"oidc":                   {"issuer", "allowedAudiences", "jwks"},
		"oidc.issuer_uri":        {"issuer"},
		"oidc.allowed_audiences": {"allowedAudiences"},
		"oidc.jwks_json":         {"jwks"},
		"aws":                    {"aws"},
		"aws.account_id":         {"aws"},
		"saml":                   {"saml"},
		"saml.idp_metadata_xml":  {"saml"},
	}
}

// providerMask names all fields of a provider that can be changed.
func providerMask() []string { return slices.Sorted(maps.Keys(paths())) }

// mask names the fields that are set.
func (s settings) mask() []string {
	return slices.DeleteFunc(providerMask(), func(path string) bool {
		return !slices.ContainsFunc(paths()[path], func(name string) bool { _, set := s[name]; return set })
	})
}

// add adds settings, but none that is empty.
func (s settings) add(more settings) {
	for name, value := range more {
		if v := reflect.ValueOf(value); v.Kind() != reflect.Bool && v.Len() > 0 || v.Kind() == reflect.Bool && v.Bool() {
			s[name] = value
		}
	}
}

// readProvider reads the settings in a WorkloadIdentityPoolProvider message.
func readProvider(r *http.Request) (settings, error) {
	m, err := googleapi.ReadMessage(r, "name", "display_name", "description", "state", "disabled", "expire_time",
		"attribute_mapping", "attribute_condition", "oidc", "aws", "saml", "x509")
	if err != nil {
		return nil, err
	}
	if m.Has("x509") {
		return nil, googleapi.InvalidArgument("The emulator has no X.509 providers.")
	}
	fields := googleapi.Fields{Message: m}
	displayName, description, condition := fields.Text("display_name"), fields.Text("description"), fields.Text("attribute_condition")
	mapping, disabled := fields.TextMap("attribute_mapping"), fields.Bool("disabled")
	wanted := settings{}
	wanted.add(settings{
		"displayName": displayName, "description": description, "disabled": disabled, "attributeMapping": mapping, "attributeCondition": condition,
	})
	if fields.Err != nil {
		return nil, fields.Err
	}
	if err := checkTexts(displayName, description); err != nil {
		return nil, err
	}
	return wanted, readSource(m, wanted)
}

// readSource reads the identity provider that the message is about.
func readSource(m googleapi.Message, wanted settings) error {
	if err := readOIDC(m, wanted); err != nil {
		return err
	}
	for field, setting := range map[string][2]string{"aws": {"account_id", "accountId"}, "saml": {"idp_metadata_xml", "idpMetadataXml"}} {
		if !m.Has(field) {
			continue
		}
		source, err := m.Message(field, setting[0])
		if err != nil {
			return err
		}
		text, err := source.Text(setting[0])
		if err != nil {
			return err
		}
		wanted[field] = map[string]any{setting[1]: text}
	}
	return nil
}

func readOIDC(m googleapi.Message, wanted settings) error {
	oidc, err := m.Message("oidc", "issuer_uri", "allowed_audiences", "jwks_json")
	if err != nil {
		return err
	}
	fields := googleapi.Fields{Message: oidc}
	issuer, audiences, jwks := fields.Text("issuer_uri"), fields.Texts("allowed_audiences"), fields.Text("jwks_json")
	if jwks != "" && !json.Valid([]byte(jwks)) {
		return googleapi.InvalidArgument("The jwks_json of the provider is not JSON.")
	}
	wanted.add(settings{"issuer": issuer, "allowedAudiences": audiences, "jwks": json.RawMessage(jwks)})
	return fields.Err
}

// settingsOf returns the settings of a provider.
func settingsOf(p fixtures.WorkloadIdentityProvider) (settings, error) {
	encoded, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("describe provider %q: %w", p.ID, err)
	}
	present := settings{}
	if err := json.Unmarshal(encoded, &present); err != nil {
		return nil, fmt.Errorf("describe provider %q: %w", p.ID, err)
	}
	return present, nil
}

// described returns the provider with the present settings, and the wanted settings for the fields in
// a mask. If a fixture cannot describe the provider, it returns an error. The access keys of an AWS
// provider, which only a fixture gives, stay.
func described(present, wanted settings, mask []string) (fixtures.WorkloadIdentityProvider, error) {
	for _, path := range mask {
		names, ok := paths()[path]
		if !ok {
			return fixtures.WorkloadIdentityProvider{}, googleapi.InvalidArgument(fmt.Sprintf("Field %q cannot be updated.", path))
		}
		for _, name := range names {
			set(present, wanted, name)
		}
	}
	if _, isOIDC := present["issuer"]; isOIDC && present["attributeMapping"] == nil {
		return fixtures.WorkloadIdentityProvider{}, googleapi.InvalidArgument("The attribute mapping of an OIDC provider has to contain google.subject.")
	}
	encoded, err := json.Marshal(map[string]any{"id": "pool", "providers": []settings{present}})
	if err != nil {
		return fixtures.WorkloadIdentityProvider{}, fmt.Errorf("describe a provider: %w", err)
	}
	pool, err := fixtures.ParsePool(encoded)
	if mistake, ok := errors.AsType[*fixtures.Error](err); ok {
		return fixtures.WorkloadIdentityProvider{}, invalid(mistake.Message)
	}
	if err != nil {
		return fixtures.WorkloadIdentityProvider{}, err
	}
	return pool.Providers[0], nil
}

// set has one setting be as wanted.
func set(present, wanted settings, name string) {
	value, isWanted := wanted[name]
	before, hasParts := present[name].(map[string]any)
	parts, isParts := value.(map[string]any)
	switch {
	case !isWanted:
		delete(present, name)
	case name == "aws" && hasParts && isParts:
		maps.Copy(before, parts)
	default:
		present[name] = value
	}
}
