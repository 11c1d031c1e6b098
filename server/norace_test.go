//go:build !race

package server_test

const ofRace = 0
