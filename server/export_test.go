package server

import (
	"maps"
	"slices"
	"strings"
)

// RouteNames are the names of the table of routes.
func RouteNames() []string {
	names := []string{unknownRoute}
	for _, surface := range (surfaces{}).table() {
		names = append(names, surface.names()...)
	}
	return names
}

// ControlRoutes are the names of the control plane's routes by their methods and paths, in
// which variables are in braces: "GET /emulator/v1/faults/{fault}".
func ControlRoutes() map[string]string {
	routes := map[string]string{}
	for _, route := range (surfaces{}).controlPlane().Routes {
		routes[route.Method+" "+strings.ReplaceAll(route.Path, ":.+}", "}")] = route.Name
	}
	return routes
}

// ControlOperations are the methods and paths of the control plane.
func ControlOperations() []string { return slices.Sorted(maps.Keys(ControlRoutes())) }
