package server

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/mds"
)

// RouteNames returns the names in the table of routes.
func RouteNames() []string {
	names := []string{unknownRoute}
	for _, surface := range (surfaces{}).table() {
		names = append(names, surface.names()...)
	}
	return names
}

// DescribedRoutes returns the name of each route, followed by the requests that it answers.
func DescribedRoutes() [][]string {
	var described [][]string
	add := func(name, request string) {
		for i, known := range described {
			if known[0] == name {
				described[i] = append(known, request)
				return
			}
		}
		described = append(described, []string{name, request})
	}
	for _, surface := range (surfaces{}).table() {
		if surface.Watch == unobserved {
			continue
		}
		for _, route := range surface.Routes {
			add(route.Name, route.Method+" "+regexp.MustCompile(`:[^{}]*\}`).ReplaceAllString(route.Path, "}"))
		}
		for _, entry := range surface.Entries {
			add(entry.Name, "GET "+treePath+"/v1/"+pathOf(entry.Asks))
		}
		for _, call := range surface.Calls {
			add(call.Name, call.Method)
		}
	}
	return described
}

// pathOf returns the path of an entry of the metadata tree, below its root.
func pathOf(asks mds.Operation) string {
	switch asks {
	case mds.Token:
		return "instance/service-accounts/{account}/token"
	case mds.Identity:
		return "instance/service-accounts/{account}/identity"
	case mds.GuestAttributes:
		return "instance/guest-attributes/…"
	case mds.OSLogin:
		return "oslogin/…"
	case mds.Value, mds.Operations:
	}
	return "…"
}

// ControlRoutes returns the names of the control plane's routes by their methods and paths, with
// variables in braces: "GET /emulator/v1/faults/{fault}".
func ControlRoutes() map[string]string {
	routes := map[string]string{}
	for _, route := range slices.Concat((surfaces{}).controlPlane().Routes, (surfaces{}).probes().Routes) {
		routes[route.Method+" "+strings.ReplaceAll(route.Path, ":.+}", "}")] = route.Name
	}
	return routes
}

// ControlOperations returns the methods and paths of the control plane.
func ControlOperations() []string { return slices.Sorted(maps.Keys(ControlRoutes())) }

// KeyPaths returns the paths at which keys are published, with variables in braces, and the names
// of their routes.
func KeyPaths() map[string]string {
	paths := map[string]string{}
	for _, route := range (surfaces{}).keys().Routes {
		paths[route.Path] = route.Name
	}
	return paths
}

// WordsOfRoutes returns the words with which server/README.md must name Google's routes, by the names of
// the routes: the last fixed word of each path, and the services in gRPC.
func WordsOfRoutes() map[string][]string {
	words := map[string][]string{}
	for _, surface := range (surfaces{}).table() {
		if surface.Watch == unobserved || surface.Name == "iam" {
			continue
		}
		for _, route := range surface.Routes {
			fixed := strings.FieldsFunc(variables().ReplaceAllString(route.Path, ""), func(r rune) bool { return r == '/' || r == ':' })
			if len(fixed) > 0 {
				words[route.Name] = append(words[route.Name], strings.Split(fixed[len(fixed)-1], "-")...)
			}
		}
		for _, entry := range surface.Entries {
			if entry.Asks != mds.Value {
				words[entry.Name] = strings.Split(strings.TrimPrefix(entry.Name, "mds."), "-")
			}
		}
		for _, call := range surface.Calls {
			words[call.Name] = append(words[call.Name], strings.Split(call.Method, "/")[1])
		}
	}
	return words
}

func variables() *regexp.Regexp { return regexp.MustCompile(`\{[^}]*\}`) }

// PagePaths returns the paths of the web page and of the files that it loads.
func PagePaths() []string {
	var paths []string
	for _, route := range (surfaces{}).webPage().Routes {
		paths = append(paths, route.Path)
	}
	return paths
}
