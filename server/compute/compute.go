// Package compute is a protected resource for tokens: the instances of the world, as the
// Compute Engine API lists them
// (https://cloud.google.com/compute/docs/reference/rest/v1/instances).
//
// It describes instances from their metadata and changes nothing. It demands a valid token with
// a scope of the API even without --strict, because clients use it to test their tokens.
package compute

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
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
		Service: "google.cloud.compute.v1.Instances",
		Scopes:  []string{scope + ".readonly", scope, iam.CloudPlatform},
	}
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
		if !strings.Contains(known.Challenge, "error=") { // there was no credential (RFC 6750, section 3.1)
			item.Message, item.Reason = "Login Required.", "required"
		}
		item.Location, item.LocationType = "Authorization", "header"
	case http.StatusForbidden:
		item.Reason = "forbidden"
		if strings.Contains(known.Message, "scopes") {
			item.Message, item.Reason = "Insufficient Permission", "insufficientPermissions"
		}
	case http.StatusNotFound:
		item.Reason = "notFound"
	}
	return errorEnvelope{Code: known.Code, Message: known.Message, Errors: []errorItem{item}, Status: known.Status, Details: known.Details}
}

// begin authorizes a caller for the instances of the zone in the path.
func (s *Server) begin(r *http.Request, method, permission, resource string) error {
	caller, err := s.guard.Caller(r, API(), method)
	if err != nil {
		return err
	}
	own, project, zone := s.worlds.Load().State.Project, r.PathValue("project"), r.PathValue("zone")
	switch {
	case !own.Is(project):
		return notFound("projects/" + project)
	case caller.Need(permission, nil) != nil:
		return googleapi.PermissionDenied(fmt.Sprintf("Required '%s' permission for '%s'", permission, resource))
	case strings.Count(zone, "-") != 2: // us-central1-a
		return googleapi.InvalidArgument(fmt.Sprintf("Invalid value for field 'zone': '%s'. Unknown zone.", zone))
	}
	return nil
}

func notFound(resource string) error {
	return googleapi.NotFound(fmt.Sprintf("The resource '%s' was not found", resource))
}

// selfLinks is the start of every self link: the host name under which Google serves the API.
const selfLinks = "https://www.googleapis.com/compute/v1/"

// List handles instances.list, with pages.
func (s *Server) List(r *http.Request) (wire.Response, error) {
	if err := s.begin(r, "List", "compute.instances.list", "projects/"+r.PathValue("project")); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "maxResults", "pageToken", "returnPartialSuccess"); err != nil {
		return wire.Response{}, err
	}
	const largestPage = 500
	size, after := largestPage, r.URL.Query().Get("pageToken")
	if text := r.URL.Query().Get("maxResults"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number < 0 || number > largestPage {
			return wire.Response{}, googleapi.InvalidArgument(fmt.Sprintf("Invalid value '%s'. Values must be within the range: [0, 500]", text))
		}
		size = cmp.Or(number, largestPage)
	}
	current := s.worlds.Load().State
	zone := "projects/" + current.Project.ID + "/zones/" + r.PathValue("zone")
	list := instanceList{Kind: "compute#instanceList", ID: zone + "/instances", SelfLink: selfLinks + zone + "/instances"}
	for _, instance := range inZone(current, r.PathValue("zone")) {
		switch {
		case instance.Name <= after:
		case len(list.Items) == size:
			list.NextPageToken = list.Items[size-1].Name
			return googleapi.Reply(r, list), nil
		default:
			list.Items = append(list.Items, describe(current, instance))
		}
	}
	return googleapi.Reply(r, list), nil
}

// Get handles instances.get. It accepts an instance's name or ID.
func (s *Server) Get(r *http.Request) (wire.Response, error) {
	resource := "projects/" + r.PathValue("project") + "/zones/" + r.PathValue("zone") + "/instances/" + r.PathValue("instance")
	if err := s.begin(r, "Get", "compute.instances.get", resource); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "view"); err != nil {
		return wire.Response{}, err
	}
	current, id := s.worlds.Load().State, r.PathValue("instance")
	for _, instance := range inZone(current, r.PathValue("zone")) {
		if instance.Name == id || instance.ID() == id {
			return googleapi.Reply(r, describe(current, instance)), nil
		}
	}
	return wire.Response{}, notFound(resource)
}

// inZone returns the virtual machines in a zone, sorted by name.
func inZone(w *world.World, zone string) []*world.Instance {
	list := slices.DeleteFunc(slices.Clone(w.Instances), func(i *world.Instance) bool {
		return lastSegment(i.Zone()) != zone || text(w, i, "instance/machine-type") == ""
	})
	slices.SortFunc(list, func(a, b *world.Instance) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func lastSegment(name string) string { return name[strings.LastIndex(name, "/")+1:] }
