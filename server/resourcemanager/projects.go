package resourcemanager

import (
	"net/http"
	"strconv"
	"strings"

	"gcp-metadata-emulator/server/filter"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// project is a project as version 1 of the API describes it.
type project struct {
	Number    string `json:"projectNumber"`
	ID        string `json:"projectId"`
	Lifecycle string `json:"lifecycleState"`
	Name      string `json:"name"`
}

func describe(p world.Project) project {
	return project{strconv.FormatUint(p.Number, 10), p.ID, "ACTIVE", p.ID}
}

// projectV3 is a project as version 3 describes it.
type projectV3 struct {
	Name        string `json:"name"`
	ID          string `json:"projectId"`
	State       string `json:"state"`
	DisplayName string `json:"displayName"`
}

func describeV3(p world.Project) projectV3 {
	return projectV3{"projects/" + strconv.FormatUint(p.Number, 10), p.ID, "ACTIVE", p.ID}
}

// Get handles projects.get of version 1 of the API.
func (s *Server) Get(r *http.Request) (wire.Response, error) {
	return s.get(r, func(p world.Project) any { return describe(p) })
}

// GetV3 handles projects.get of version 3.
func (s *Server) GetV3(r *http.Request) (wire.Response, error) {
	return s.get(r, func(p world.Project) any { return describeV3(p) })
}

func (s *Server) get(r *http.Request, describe func(world.Project) any) (wire.Response, error) {
	_, project, err := s.begin(r, "GetProject", "resourcemanager.projects.get")
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, describe(project)), nil
}

type resourceID struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

type ancestor struct {
	Resource resourceID `json:"resourceId"`
}

// Ancestry handles projects.getAncestry. The project has no parent, so it is its only ancestor.
func (s *Server) Ancestry(r *http.Request) (wire.Response, error) {
	_, project, err := s.begin(r, "GetAncestry", "resourcemanager.projects.get")
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	if _, err := googleapi.ReadMessage(r); err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, struct {
		Ancestors []ancestor `json:"ancestor"`
	}{[]ancestor{{resourceID{"project", project.ID}}}}), nil
}

// List handles projects.list of version 1: the projects that the caller may see.
func (s *Server) List(r *http.Request) (wire.Response, error) {
	return s.search(r, "ListProjects", "filter")
}

// Search handles projects.search of version 3.
func (s *Server) Search(r *http.Request) (wire.Response, error) {
	return s.search(r, "SearchProjects", "query")
}

// found is a list of projects.
type found struct {
	Projects []any `json:"projects,omitempty"`
}

// search answers with the project, unless the filter in a query parameter excludes it.
func (s *Server) search(r *http.Request, method, parameter string) (wire.Response, error) {
	caller, err := s.guard.Caller(r, API(), method)
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, parameter, "pageSize", "pageToken"); err != nil {
		return wire.Response{}, err
	}
	page, err := googleapi.ReadPage(r, googleapi.PageSizes{Default: 500, Largest: 1000})
	if err != nil {
		return wire.Response{}, err
	}
	asked, err := filter.Projects().Parse(r.URL.Query().Get(parameter))
	if err != nil {
		return wire.Response{}, googleapi.InvalidArgument("field [" + parameter + "] has issue [Invalid filter query.]").Because(journal.Refusal{
			Code: reason.InvalidArgument, Reason: "the filter cannot be read: " + err.Error(), Hint: `write it as in "projectId:demo-* lifecycleState:ACTIVE"`,
		})
	}
	own := s.worlds.Load().State.Project
	projects, _ := googleapi.Cut(page, []world.Project{own}, func(p world.Project) string { return p.ID })
	var answer found
	for _, p := range projects {
		described := any(describe(p))
		if parameter == "query" {
			described = describeV3(p)
		}
		if asked.Matches(searched(p)) && caller.Has("resourcemanager.projects.get", nil) {
			answer.Projects = append(answer.Projects, described)
		}
	}
	return googleapi.Reply(r, answer), nil
}

// searched returns the fields of a project that filters of either version name
// (https://cloud.google.com/resource-manager/reference/rest/v3/projects/search).
func searched(p world.Project) map[string]any {
	number := strconv.FormatUint(p.Number, 10)
	return map[string]any{
		"id": p.ID, "projectId": p.ID, "projectNumber": number, "name": p.ID, "displayName": p.ID,
		"lifecycleState": "ACTIVE", "state": "ACTIVE", "labels": map[string]any{},
	}
}

// ListV3 handles projects.list of version 3, which lists the projects of a folder or an organization.
// There is neither.
func (s *Server) ListV3(r *http.Request) (wire.Response, error) {
	if _, err := s.guard.Caller(r, API(), "ListProjects"); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "parent", "pageSize", "pageToken", "showDeleted"); err != nil {
		return wire.Response{}, err
	}
	kind, _, _ := strings.Cut(r.URL.Query().Get("parent"), "/")
	if kind != "folders" && kind != "organizations" {
		return wire.Response{}, googleapi.InvalidArgument("parent must be folders/NUMBER or organizations/NUMBER")
	}
	return wire.Response{}, googleapi.PermissionDenied("The caller does not have permission").Because(journal.Refusal{
		Code: reason.MissingPermission, Reason: "the emulated project is in no folder and in no organization", Hint: "find projects with projects:search",
	})
}
