package iampools

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// poolMessage is the WorkloadIdentityPool message.
type poolMessage struct {
	Type        string `json:"@type,omitempty"` // in an operation
	Name        string `json:"name"`
	DisplayName string `json:"displayName,omitempty"`
	Description string `json:"description,omitempty"`
	state
}

func (s *Server) poolMessage(pool fixtures.WorkloadIdentityPool) poolMessage {
	return poolMessage{
		Name: s.worlds.Load().State.PoolName(pool.ID), DisplayName: pool.DisplayName, Description: pool.Description,
		state: stateOf(pool.Disabled, pool.DeleteTime),
	}
}

// poolName returns the name of the pool in the path.
func (s *Server) poolName(r *http.Request) string {
	return s.worlds.Load().State.PoolName(r.PathValue("pool"))
}

// changed answers with the operation that has changed a pool.
func (s *Server) changed(r *http.Request, pool fixtures.WorkloadIdentityPool, err error) (wire.Response, error) {
	m := s.poolMessage(pool)
	m.Type = "type.googleapis.com/google.iam.v1.WorkloadIdentityPool"
	return s.done(r, m.Name, "WorkloadIdentityPool", m, err)
}

// ListPools handles workloadIdentityPools.list.
func (s *Server) ListPools(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofPools("ListWorkloadIdentityPools", "list"), "pageSize", "pageToken", "showDeleted"); err != nil {
		return wire.Response{}, err
	}
	var list struct {
		Pools         []poolMessage `json:"workloadIdentityPools,omitempty"`
		NextPageToken string        `json:"nextPageToken,omitempty"`
	}
	const largest = 1000
	part, next, err := selected(s, r, largest, s.worlds.Load().State.DescribedPools(), func(pool fixtures.WorkloadIdentityPool) (string, time.Time) {
		return pool.ID, pool.DeleteTime
	})
	for _, pool := range part {
		list.Pools = append(list.Pools, s.poolMessage(pool))
	}
	list.NextPageToken = next
	return reply(r, list, err)
}

// GetPool handles workloadIdentityPools.get, for deleted pools too.
func (s *Server) GetPool(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofPools("GetWorkloadIdentityPool", "get")); err != nil {
		return wire.Response{}, err
	}
	pool, err := s.pool(s.worlds.Load().State, r)
	return reply(r, s.poolMessage(pool), err)
}

// CreatePool handles workloadIdentityPools.create.
func (s *Server) CreatePool(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofPools("CreateWorkloadIdentityPool", "create"), "workloadIdentityPoolId"); err != nil {
		return wire.Response{}, err
	}
	wanted, err := readPool(r)
	if err != nil {
		return wire.Response{}, err
	}
	made := fixtures.WorkloadIdentityPool{ID: r.URL.Query().Get("workloadIdentityPoolId")}
	if !fixtures.IsPoolID(made.ID) || strings.HasPrefix(made.ID, "gcp-") {
		return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf(
			"The workload_identity_pool_id %q is not 4 to 32 lower-case letters, digits and hyphens that do not begin with \"gcp-\".", made.ID))
	}
	if err := setPool(&made, wanted, poolMask()); err != nil {
		return wire.Response{}, err
	}
	err = s.worlds.Update(func(w *world.World) (*world.World, error) {
		if existing, ok := w.DescribedPool(made.ID); ok && !s.isPurged(existing.DeleteTime) {
			return nil, alreadyExists()
		}
		return with(w, made)
	})
	return s.changed(r, made, err)
}

func readPool(r *http.Request) (googleapi.Message, error) {
	m, err := googleapi.ReadMessage(r, "name", "display_name", "description", "state", "disabled", "expire_time", "mode")
	if err != nil {
		return m, err
	}
	mode, err := m.Text("mode")
	if err == nil && mode != "" && mode != "MODE_UNSPECIFIED" && mode != "FEDERATION_ONLY" {
		err = googleapi.InvalidArgument(fmt.Sprintf("The emulator has no pools of mode %q, only of FEDERATION_ONLY.", mode))
	}
	return m, err
}

// poolMask names the fields of a pool that can be changed.
func poolMask() []string { return []string{"display_name", "description", "disabled"} }

// setPool sets the fields of a pool that a mask names.
func setPool(pool *fixtures.WorkloadIdentityPool, m googleapi.Message, mask []string) error {
	fields := googleapi.Fields{Message: m}
	for _, path := range mask {
		switch path {
		case "display_name":
			pool.DisplayName = fields.Text(path)
		case "description":
			pool.Description = fields.Text(path)
		case "disabled":
			pool.Disabled = fields.Bool(path)
		default:
			return googleapi.InvalidArgument(fmt.Sprintf("Field %q cannot be updated.", path))
		}
	}
	if fields.Err != nil {
		return fields.Err
	}
	return checkTexts(pool.DisplayName, pool.Description)
}

// checkTexts refuses texts that are too long.
func checkTexts(displayName, description string) error {
	const maxDisplayName, maxDescription = 32, 256 // characters
	switch {
	case len([]rune(displayName)) > maxDisplayName:
		return googleapi.InvalidArgument(fmt.Sprintf("The display name is longer than %d characters.", maxDisplayName))
	case len([]rune(description)) > maxDescription:
		return googleapi.InvalidArgument(fmt.Sprintf("The description is longer than %d characters.", maxDescription))
	default:
		return nil
	}
}

// maskOf returns the fields that a request changes: the fields of its update mask, or else of its
// message.
func maskOf(r *http.Request, m googleapi.Message, all []string) []string {
	if mask := googleapi.MaskPaths(r.URL.Query().Get("updateMask")); len(mask) > 0 {
		return mask
	}
	var mask []string
	for _, path := range all {
		if m.Has(path) {
			mask = append(mask, path)
		}
	}
	return mask
}

// PatchPool handles workloadIdentityPools.patch.
func (s *Server) PatchPool(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofPools("UpdateWorkloadIdentityPool", "update"), "updateMask"); err != nil {
		return wire.Response{}, err
	}
	wanted, err := readPool(r)
	if err != nil {
		return wire.Response{}, err
	}
	pool, err := s.change(r, func(pool *fixtures.WorkloadIdentityPool) error {
		if !pool.DeleteTime.IsZero() {
			return preconditionFailed()
		}
		return setPool(pool, wanted, maskOf(r, wanted, poolMask()))
	})
	return s.changed(r, pool, err)
}

// DeletePool handles workloadIdentityPools.delete. No token of the pool is exchanged or accepted from
// now on.
func (s *Server) DeletePool(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofPools("DeleteWorkloadIdentityPool", "delete")); err != nil {
		return wire.Response{}, err
	}
	pool, err := s.change(r, func(pool *fixtures.WorkloadIdentityPool) error {
		if !pool.DeleteTime.IsZero() {
			return preconditionFailed()
		}
		pool.DeleteTime = s.now().UTC()
		return nil
	})
	return s.changed(r, pool, err)
}

// UndeletePool handles workloadIdentityPools.undelete.
func (s *Server) UndeletePool(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, ofPools("UndeleteWorkloadIdentityPool", "undelete")); err != nil {
		return wire.Response{}, err
	}
	if _, err := googleapi.ReadMessage(r, "name"); err != nil {
		return wire.Response{}, err
	}
	pool, err := s.change(r, func(pool *fixtures.WorkloadIdentityPool) error {
		if pool.DeleteTime.IsZero() {
			return preconditionFailed()
		}
		pool.DeleteTime = time.Time{}
		return nil
	})
	return s.changed(r, pool, err)
}
