// Package cloudrun is the part of the Cloud Run Admin API that manages services and their policies: version 2
// (https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services), and of version 1, in the
// form of Knative, the methods that read services and handle policies.
//
// A service of the API is an instance of the world with an ingress. It has the instance's identity, metadata
// server and door. Nothing runs its container: the annotation upstreamAnnotation has the address at which the
// service listens. Package world makes the changes, and package iampolicy has the methods for policies.
// Changes last until the world is replaced.
package cloudrun

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/iampolicy"
	"gcp-metadata-emulator/server/lru"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Host is the host name of the API. A region's API has this name after the region's: us-central1-run.googleapis.com.
const Host = "run.googleapis.com"

// rememberedOperations is the number of operations that clients can still ask for.
const rememberedOperations = 1000

// Server handles requests to the API. It is safe for concurrent use.
type Server struct {
	worlds     *store.Store[*world.World]
	guard      *guard.Guard
	policies   *iampolicy.Policies
	now        func() time.Time
	operations *lru.Cache[string, proto.Message] // by name
}

// New returns a Cloud Run Admin API.
func New(worlds *store.Store[*world.World], guard *guard.Guard, policies *iampolicy.Policies, now func() time.Time) *Server {
	return &Server{
		worlds: worlds, guard: guard, policies: policies, now: now,
		operations: lru.New[string, proto.Message](rememberedOperations),
	}
}

// API returns the names and scopes of the Cloud Run API.
func API() guard.API {
	return guard.API{Host: Host, Service: "google.cloud.run.v2.Services", Scopes: []string{iam.CloudPlatform}}
}

// project authorizes a method of the project in the path. The caller needs the given permission.
func (s *Server) project(r *http.Request, method, permission string) (guard.Caller, error) {
	caller, err := s.guard.Caller(r, API(), method)
	if err != nil {
		return caller, err
	}
	if !s.isOurs(r) {
		return caller, denied(permission, "projects/"+r.PathValue("project"))
	}
	return caller, caller.Need(permission, nil)
}

func (s *Server) isOurs(r *http.Request) bool {
	return s.worlds.Load().State.Project.Is(r.PathValue("project"))
}

// denied returns Google's error if the caller must not see a resource, whether it exists or not.
func denied(permission, resource string) error {
	return googleapi.PermissionDenied(fmt.Sprintf("Permission '%s' denied on resource '%s' (or it may not exist).", permission, resource))
}

// target is the caller of a method, and the method's service.
type target struct {
	caller   guard.Caller
	service  *world.Service
	instance *world.Instance // that runs the service
}

// service authorizes a method of a service and finds the service. The caller needs the given
// permission on it. A caller without the permission does not learn whether the service exists.
func (s *Server) service(r *http.Request, method, permission string) (target, error) {
	caller, err := s.guard.Caller(r, API(), method)
	if err != nil {
		return target{}, err
	}
	found, ok := s.find(r)
	if !ok {
		if _, err := s.project(r, method, permission); err != nil {
			return target{}, err
		}
		return target{}, notFound(s.worlds.Load().State.Project, r)
	}
	found.caller = caller
	return found, caller.Need(permission, found.service)
}

// find returns the service in the path. ok is false if the service is in another region or project.
func (s *Server) find(r *http.Request) (found target, ok bool) {
	if !s.isOurs(r) {
		return target{}, false
	}
	return locate(s.worlds.Load().State, r)
}

// locate returns the service of a world that a request is about.
func locate(w *world.World, r *http.Request) (found target, ok bool) {
	service, ok := w.Service(r.PathValue("service"))
	if !ok || !isIn(r, service) {
		return target{}, false
	}
	instance, _ := w.Instance(service.Name)
	return target{service: service, instance: instance}, true
}

// isIn reports whether a service is in the region that a request is about, or the request is about all regions.
func isIn(r *http.Request, service *world.Service) bool {
	asked := region(r)
	return asked == "" || asked == "-" || asked == service.Region
}

// region returns the region of a request: the path's, or else the host name's. If neither names a
// region, as when a client calls the emulator by its own address, it is empty.
func region(r *http.Request) string {
	if location := r.PathValue("location"); location != "" {
		return location
	}
	name, ok := strings.CutSuffix(hostname.Of(r.Host), "-"+Host)
	if !ok {
		return ""
	}
	return name
}

func notFound(project world.Project, r *http.Request) error {
	return googleapi.NotFound(fmt.Sprintf("Resource '%s' of kind 'SERVICE' in region '%s' in project '%s' does not exist.",
		r.PathValue("service"), region(r), project.ID))
}

// GetIAMPolicy returns a service's policy.
func (s *Server) GetIAMPolicy(r *http.Request) (wire.Response, error) {
	t, err := s.service(r, "GetIamPolicy", "run.services.getIamPolicy")
	if err != nil {
		return wire.Response{}, err
	}
	return s.policies.Get(r, t.service)
}

// SetIAMPolicy replaces a service's policy.
func (s *Server) SetIAMPolicy(r *http.Request) (wire.Response, error) {
	t, err := s.service(r, "SetIamPolicy", "run.services.setIamPolicy")
	if err != nil {
		return wire.Response{}, err
	}
	return s.policies.Set(r, t.service)
}

// TestIAMPermissions returns which of the given permissions the caller has on a service.
func (s *Server) TestIAMPermissions(r *http.Request) (wire.Response, error) {
	caller, err := s.guard.Caller(r, API(), "TestIamPermissions")
	if err != nil {
		return wire.Response{}, err
	}
	found, ok := s.find(r)
	if !ok {
		return wire.Response{}, notFound(s.worlds.Load().State.Project, r)
	}
	return s.policies.Test(r, caller, found.service)
}
