package server

import "strings"

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

// ControlOperations are the methods and paths of the control plane, with their variables in
// braces: "GET /emulator/v1/faults/{fault}".
func ControlOperations() []string {
	var operations []string
	for _, route := range (surfaces{}).controlRoutes() {
		operations = append(operations, route.method+" "+strings.ReplaceAll(route.path, ":.+}", "}"))
	}
	return operations
}
