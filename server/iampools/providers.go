package iampools

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// providerMessage is the WorkloadIdentityPoolProvider message.
type providerMessage struct {
	Type        string `json:"@type,omitempty"` // in an operation
	Name        string `json:"name"`
	DisplayName string `json:"displayName,omitempty"`
	Description string `json:"description,omitempty"`
	state

	AttributeMapping   map[string]string `json:"attributeMapping,omitempty"`
	AttributeCondition string            `json:"attributeCondition,omitempty"`

	OIDC *oidcMessage `json:"oidc,omitempty"`
	AWS  *awsMessage  `json:"aws,omitempty"`
	SAML *samlMessage `json:"saml,omitempty"`
}

type oidcMessage struct {
	IssuerURI        string   `json:"issuerUri"`
	AllowedAudiences []string `json:"allowedAudiences,omitempty"`
	JWKSJSON         string   `json:"jwksJson,omitempty"`
}

type awsMessage struct {
	AccountID string `json:"accountId"`
}

type samlMessage struct {
	IDPMetadataXML string `json:"idpMetadataXml,omitempty"` // missing if a fixture describes the provider otherwise
}

// providerName returns the name of a provider of the pool in the path.
func (s *Server) providerName(r *http.Request, id string) string {
	return s.poolName(r) + "/providers/" + id
}

func (s *Server) providerMessage(r *http.Request, p fixtures.WorkloadIdentityProvider) (providerMessage, error) {
	m := providerMessage{
		Name: s.providerName(r, p.ID), DisplayName: p.DisplayName, Description: p.Description, state: stateOf(p.Disabled, p.DeleteTime),
		AttributeMapping: p.AttributeMapping, AttributeCondition: p.AttributeCondition,
	}
	switch {
	case p.AWS != nil:
		m.AWS = &awsMessage{p.AWS.AccountID}
	case p.SAML != nil:
		m.SAML = &samlMessage{p.SAML.IDPMetadataXML}
	default:
		m.OIDC = &oidcMessage{IssuerURI: p.Issuer, AllowedAudiences: p.AllowedAudiences}
		if p.JWKS != nil {
			encoded, err := p.JWKS.MarshalJSON()
			m.OIDC.JWKSJSON = string(encoded)
			return m, err
		}
	}
	return m, nil
}

// changedProvider answers with the operation that has changed a provider.
func (s *Server) changedProvider(r *http.Request, p fixtures.WorkloadIdentityProvider, err error) (wire.Response, error) {
	if err != nil {
		return wire.Response{}, err
	}
	m, err := s.providerMessage(r, p)
	m.Type = "type.googleapis.com/google.iam.v1.WorkloadIdentityPoolProvider"
	return s.done(r, m.Name, "WorkloadIdentityPoolProvider", m, err)
}

// index returns the position of the provider with an ID in a pool.
func (s *Server) index(pool fixtures.WorkloadIdentityPool, id string) (int, bool) {
	i := slices.IndexFunc(pool.Providers, func(p fixtures.WorkloadIdentityProvider) bool { return p.ID == id })
	return i, i >= 0 && !s.isPurged(pool.Providers[i].DeleteTime)
}

// ListProviders handles workloadIdentityPools.providers.list.
func (s *Server) ListProviders(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofProviders("ListWorkloadIdentityPoolProviders", "list"), "pageSize", "pageToken", "showDeleted"); err != nil {
		return wire.Response{}, err
	}
	pool, err := s.pool(s.worlds.Load().State, r)
	if err != nil {
		return wire.Response{}, err
	}
	const largest = 100
	part, next, err := selected(s, r, largest, pool.Providers, func(p fixtures.WorkloadIdentityProvider) (string, time.Time) {
		return p.ID, p.DeleteTime
	})
	if err != nil {
		return wire.Response{}, err
	}
	var list struct {
		Providers     []providerMessage `json:"workloadIdentityPoolProviders,omitempty"`
		NextPageToken string            `json:"nextPageToken,omitempty"`
	}
	for _, p := range part {
		m, err := s.providerMessage(r, p)
		if err != nil {
			return wire.Response{}, err
		}
		list.Providers = append(list.Providers, m)
	}
	list.NextPageToken = next
	return reply(r, list, nil)
}

// GetProvider handles workloadIdentityPools.providers.get, for deleted providers too.
func (s *Server) GetProvider(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofProviders("GetWorkloadIdentityPoolProvider", "get")); err != nil {
		return wire.Response{}, err
	}
	pool, err := s.pool(s.worlds.Load().State, r)
	if err != nil {
		return wire.Response{}, err
	}
	i, ok := s.index(pool, r.PathValue("provider"))
	if !ok {
		return wire.Response{}, notFound()
	}
	m, err := s.providerMessage(r, pool.Providers[i])
	return reply(r, m, err)
}

// CreateProvider handles workloadIdentityPools.providers.create.
func (s *Server) CreateProvider(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofProviders("CreateWorkloadIdentityPoolProvider", "create"), "workloadIdentityPoolProviderId"); err != nil {
		return wire.Response{}, err
	}
	wanted, err := readProvider(r)
	if err != nil {
		return wire.Response{}, err
	}
	id := r.URL.Query().Get("workloadIdentityPoolProviderId")
	if strings.HasPrefix(id, "gcp-") {
		return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf("The workload_identity_pool_provider_id %q begins with \"gcp-\", which is reserved.", id))
	}
	var made fixtures.WorkloadIdentityProvider
	_, err = s.change(r, func(pool *fixtures.WorkloadIdentityPool) error {
		if !pool.DeleteTime.IsZero() {
			return preconditionFailed()
		}
		if _, exists := s.index(*pool, id); exists {
			return alreadyExists()
		}

		pool.Providers = slices.DeleteFunc(slices.Clone(pool.Providers), func(p fixtures.WorkloadIdentityProvider) bool {
			return p.ID == id // of a purged one
		})
		made, err = described(settings{"id": id}, wanted, providerMask())
		pool.Providers = append(pool.Providers, made)
		return err
	})
	return s.changedProvider(r, made, err)
}

// changeProvider replaces the provider in the path by an edited copy.
func (s *Server) changeProvider(
	r *http.Request, edit func(fixtures.WorkloadIdentityProvider) (fixtures.WorkloadIdentityProvider, error),
) (wire.Response, error) {
	var edited fixtures.WorkloadIdentityProvider
	_, err := s.change(r, func(pool *fixtures.WorkloadIdentityPool) error {
		i, ok := s.index(*pool, r.PathValue("provider"))
		if !ok {
			return notFound()
		}
		var err error
		edited, err = edit(pool.Providers[i])
		pool.Providers = slices.Clone(pool.Providers)
		pool.Providers[i] = edited
		return err
	})
	return s.changedProvider(r, edited, err)
}

// PatchProvider handles workloadIdentityPools.providers.patch.
func (s *Server) PatchProvider(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofProviders("UpdateWorkloadIdentityPoolProvider", "update"), "updateMask"); err != nil {
		return wire.Response{}, err
	}
	wanted, err := readProvider(r)
	if err != nil {
		return wire.Response{}, err
	}
	return s.changeProvider(r, func(p fixtures.WorkloadIdentityProvider) (fixtures.WorkloadIdentityProvider, error) {
		if !p.DeleteTime.IsZero() {
			return p, preconditionFailed()
		}
		present, err := settingsOf(p)
		if err != nil {
			return p, err
		}
		mask := googleapi.MaskPaths(r.URL.Query().Get("updateMask"))
		if len(mask) == 0 {
			mask = wanted.mask()
		}
		return described(present, wanted, mask)
	})
}

// DeleteProvider handles workloadIdentityPools.providers.delete. No token of the provider is exchanged
// from now on.
func (s *Server) DeleteProvider(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofProviders("DeleteWorkloadIdentityPoolProvider", "delete")); err != nil {
		return wire.Response{}, err
	}
	return s.changeProvider(r, func(p fixtures.WorkloadIdentityProvider) (fixtures.WorkloadIdentityProvider, error) {
		if !p.DeleteTime.IsZero() {
			return p, preconditionFailed()
		}
		p.DeleteTime = s.now().UTC()
		return p, nil
	})
}

// UndeleteProvider handles workloadIdentityPools.providers.undelete.
func (s *Server) UndeleteProvider(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofProviders("UndeleteWorkloadIdentityPoolProvider", "undelete")); err != nil {
		return wire.Response{}, err
	}
	if _, err := googleapi.ReadMessage(r, "name"); err != nil {
		return wire.Response{}, err
	}
	return s.changeProvider(r, func(p fixtures.WorkloadIdentityProvider) (fixtures.WorkloadIdentityProvider, error) {
		if p.DeleteTime.IsZero() {
			return p, preconditionFailed()
		}
		p.DeleteTime = time.Time{}
		return p, nil
	})
}
