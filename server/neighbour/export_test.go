package neighbour

import "gcp-metadata-emulator/server/world"

// DemandOf is demandOf.
func DemandOf(to *world.Neighbour, verb, path string) (permission string, scopes []string) {
	return demandOf(to, verb, path)
}

// Permissions returns the permissions of the tables.
func Permissions() []string {
	var all []string
	for _, known := range apis() {
		for _, m := range known.methods {
			all = append(all, m.permission)
		}
	}
	return all
}
