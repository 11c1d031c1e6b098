// Package compute is a protected resource for tokens: the instances of the world and their groups,
// zones and project, as the Compute Engine API lists them
// (https://cloud.google.com/compute/docs/reference/rest/v1/instances).
//
// It describes instances from their metadata and their fixture, and changes nothing. It demands a valid token with
// a scope of the API even without --strict, because clients use it to test their tokens.
package compute

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Server handles requests to the API. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	guard  *guard.Guard
}

// New returns a Compute Engine API.
func New(worlds *store.Store[*world.World], guard *guard.Guard) *Server {
	return &Server{worlds: worlds, guard: guard.Checking()}
}

// API returns the names and scopes of the Compute Engine API.
func API() guard.API {
	const scope = "https://www.googleapis.com/auth/compute"
	return guard.API{
		Host:    "compute.googleapis.com",
		Service: services + "Instances",
		Scopes:  []string{scope + ".readonly", scope, iam.CloudPlatform},
	}
}

// services begins the names of the services of the API.
const services = "google.cloud.compute.v1."

// method is a method of the API, with the permission that it takes.
type method struct{ service, name, permission string }

func (m method) api() guard.API {
	api := API()
	api.Service = services + m.service
	return api
}

// Dialect returns the format of the API's answers. Its errors repeat their content in the
// format that Google's APIs had before AIP-193.
func Dialect() wire.Dialect {
	dialect := googleapi.Dialect()
	written := dialect.Error
	dialect.Error = func(r *http.Request, err error) wire.Response {
		response := written(r, err)
		if known, ok := errors.AsType[*googleapi.Error](err); ok {
			response.Body = googleapi.Reply(r, map[string]any{"error": envelope(known)}).Body
		}
		return response
	}
	return dialect
}

type errorEnvelope struct {
	Code    int         `json:"code"`
	Message string      `json:"message"`
	Errors  []errorItem `json:"errors"`
	Status  string      `json:"status,omitempty"`
	Details []any       `json:"details,omitempty"`
}

type errorItem struct {
	Message      string `json:"message"`
	Domain       string `json:"domain"`
	Reason       string `json:"reason"`
	Location     string `json:"location,omitempty"`
	LocationType string `json:"locationType,omitempty"`
}

func envelope(known *googleapi.Error) errorEnvelope {
	item := errorItem{Message: known.Message, Domain: "global", Reason: "invalid"}
	switch known.Code {
	case http.StatusUnauthorized:
		item.Message, item.Reason = "Invalid Credentials", "authError"
		if known.Cause().Reason == googleapi.ReasonMissing {
			item.Message, item.Reason = "Login Required.", "required"
		}
		item.Location, item.LocationType = "Authorization", "header"
	case http.StatusForbidden:
		item.Reason = "forbidden"
		if known.Cause().Reason == googleapi.ReasonScopes {
			item.Message, item.Reason = "Insufficient Permission", "insufficientPermissions"
		}
	case http.StatusNotFound:
		item.Reason = "notFound"
	}
	return errorEnvelope{Code: known.Code, Message: known.Message, Errors: []errorItem{item}, Status: known.Status, Details: known.Details}
}

// begin authorizes a caller for a resource of the project in the path.
func (s *Server) begin(r *http.Request, method method, resource string) (*world.World, error) {
	caller, err := s.guard.Caller(r, method.api(), method.name)
	if err != nil {
		return nil, err
	}
	current, project := s.worlds.Load().State, r.PathValue("project")
	switch {
	case !current.Project.Is(project):
		return nil, notFound("projects/" + project)
	case caller.Need(method.permission, nil) != nil:
		return nil, googleapi.PermissionDenied(fmt.Sprintf("Required '%s' permission for '%s'", method.permission, resource))
	}
	return current, nil
}

// asked returns the name of a resource of the project in the path.
func asked(r *http.Request, name string) string { return "projects/" + r.PathValue("project") + name }

// askedZone returns the name of a resource of the zone in the path.
func askedZone(r *http.Request, name string) string {
	return asked(r, "/zones/"+r.PathValue("zone")+name)
}

// inProject returns the name of a resource of a world's project.
func inProject(w *world.World, name string) string { return "projects/" + w.Project.ID + name }

func notFound(resource string) error {
	return googleapi.NotFound(fmt.Sprintf("The resource '%s' was not found", resource))
}

// selfLinks is the start of every self link: the host name under which Google serves the API.
const selfLinks = "https://www.googleapis.com/compute/v1/"

func lastSegment(name string) string { return name[strings.LastIndex(name, "/")+1:] }
