package server

// RouteNames are the names of the table of routes.
func RouteNames() []string {
	var names []string
	for _, route := range (surfaces{}).routes() {
		names = append(names, route.name)
	}
	return names
}
