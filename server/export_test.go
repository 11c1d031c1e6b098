package server

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
