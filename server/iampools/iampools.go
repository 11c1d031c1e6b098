// Package iampools is the part of the Identity and Access Management API that manages workload
// identity pools and their providers
// (https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools).
//
// A pool is described here as in a fixture, and read by the rules of package fixtures. Package world
// keeps the pools, and package sts exchanges the tokens of their providers. Changes last until the
// world is replaced.
package iampools

import (
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/lru"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Server handles requests to the API. It is safe for concurrent use.
type Server struct {
	worlds     *store.Store[*world.World]
	guard      *guard.Guard
	now        func() time.Time
	operations *lru.Cache[string, operation] // the latest ones, by name
}

// New returns an API of workload identity pools.
func New(worlds *store.Store[*world.World], guard *guard.Guard, now func() time.Time) *Server {
	const operations = 1000
	return &Server{worlds: worlds, guard: guard, now: now, operations: lru.New[string, operation](operations)}
}

// method is a method of the API: its name and the permission that it takes.
type method struct{ name, permission string }

func ofPools(name, action string) method {
	return method{name, "iam.workloadIdentityPools." + action}
}

func ofProviders(name, action string) method {
	return method{name, "iam.workloadIdentityPoolProviders." + action}
}

// begin authorizes a method, and checks that a request has only these query parameters.
func (s *Server) begin(r *http.Request, m method, query ...string) error {
	api := guard.IAM()
	api.Service = "google.iam.v1.WorkloadIdentityPools"
	if err := s.guard.Project(r, api, m.name, m.permission); err != nil {
		return err
	}
	return googleapi.CheckQuery(r, query...)
}

// kept is for how long a deleted pool or provider can be undeleted. No other one can have its name
// until then.
const kept = 30 * 24 * time.Hour

func (s *Server) isPurged(deleted time.Time) bool {
	return !deleted.IsZero() && s.now().Sub(deleted) > kept
}

// state is the state of a pool or a provider.
type state struct {
	State      string     `json:"state"`
	Disabled   bool       `json:"disabled,omitempty"`
	ExpireTime *time.Time `json:"expireTime,omitempty"`
}

func stateOf(disabled bool, deleted time.Time) state {
	if deleted.IsZero() {
		return state{State: "ACTIVE", Disabled: disabled}
	}
	purged := deleted.Add(kept).UTC()
	return state{State: "DELETED", Disabled: disabled, ExpireTime: &purged}
}

// sizes returns the sizes of pages of pools and of providers.
func sizes(largest int) googleapi.PageSizes {
	return googleapi.PageSizes{Default: 50, Largest: largest}
}

// selected returns the items of the page that a request asks for, and the token of the next page.
// Deleted items are among them on demand.
func selected[T any](s *Server, r *http.Request, largest int, items []T, about func(T) (id string, deleted time.Time)) ([]T, string, error) {
	page, err := googleapi.ReadPage(r, sizes(largest))
	if err != nil {
		return nil, "", err
	}
	withDeleted, err := googleapi.QueryBool(r, "showDeleted")
	if err != nil {
		return nil, "", err
	}
	var shown []T
	for _, item := range items {
		if _, deleted := about(item); deleted.IsZero() || withDeleted && !s.isPurged(deleted) {
			shown = append(shown, item)
		}
	}
	part, next := googleapi.Cut(page, shown, func(item T) string { id, _ := about(item); return id })
	return part, next, nil
}

func notFound() error { return googleapi.NotFound("Requested entity was not found.") }

func alreadyExists() error { return googleapi.AlreadyExists("Requested entity already exists") }

// preconditionFailed refuses a change of a deleted resource, and the undeletion of any other.
func preconditionFailed() error { return googleapi.FailedPrecondition("Precondition check failed.") }

// pool returns the description of the pool in the path.
func (s *Server) pool(w *world.World, r *http.Request) (fixtures.WorkloadIdentityPool, error) {
	described, ok := w.DescribedPool(r.PathValue("pool"))
	if !ok || s.isPurged(described.DeleteTime) {
		return fixtures.WorkloadIdentityPool{}, notFound()
	}
	return described, nil
}

// change replaces the pool in the path by an edited copy.
func (s *Server) change(r *http.Request, edit func(*fixtures.WorkloadIdentityPool) error) (fixtures.WorkloadIdentityPool, error) {
	var edited fixtures.WorkloadIdentityPool
	err := s.worlds.Update(func(w *world.World) (*world.World, error) {
		var err error
		if edited, err = s.pool(w, r); err != nil {
			return nil, err
		}
		if err := edit(&edited); err != nil {
			return nil, err
		}
		return with(w, edited)
	})
	return edited, err
}

// with returns a world that has a pool. It refuses a provider with a broken expression.
func with(w *world.World, pool fixtures.WorkloadIdentityPool) (*world.World, error) {
	next, err := w.WithPool(pool)
	if err != nil {
		return nil, invalid(err.Error())
	}
	return next, nil
}

// invalid refuses a description. The place of the provider among others, providers[0]., is left out:
// a client names one provider.
func invalid(problem string) error {
	if _, rest, found := strings.Cut(problem, "]"); found && strings.HasPrefix(problem, "providers[") {
		problem = strings.TrimLeft(rest, ".: ")
	}
	return googleapi.InvalidArgument(problem)
}

// reply answers a request for a resource.
func reply(r *http.Request, value any, err error) (wire.Response, error) {
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, value), nil
}
