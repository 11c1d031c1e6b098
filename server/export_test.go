package server

import (
	"maps"
	"slices"
	"strings"
)

// RouteNames are the names of the table of routes.
func RouteNames() []string {
	names := surfaces{}.names()
	for _, route := range (surfaces{}).routes() {
		if !route.isObserved() {
			names = append(names, route.name)
		}
	}
	return names
}

// ControlRoutes are the names of the control plane's routes by their methods and paths, in
// which variables are in braces: "GET /emulator/v1/faults/{fault}".
func ControlRoutes() map[string]string {
	routes := map[string]string{}
	for _, route := range (surfaces{}).controlRoutes() {
		routes[route.method+" "+strings.ReplaceAll(route.path, ":.+}", "}")] = route.name
	}
	return routes
}

// ControlOperations are the methods and paths of the control plane.
func ControlOperations() []string { return slices.Sorted(maps.Keys(ControlRoutes())) }
