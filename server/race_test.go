//go:build race

package server_test

// ofRace is the number of allocations that the race detector may add to a request: it lets pools forget
// some of their content.
const ofRace = 2
