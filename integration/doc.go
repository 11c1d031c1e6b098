// Package integration runs Google's own clients, unmodified, against a running emulator: the Go, Node and Python libraries,
// the gcloud command, and a script that does everything by hand.
//
// It is a module of its own so that those libraries stay out of the emulator's dependencies, and it imports nothing of the
// emulator: it builds the binary and runs every client as "gcp-metadata-emulator exec -- CLIENT", with no more environment
// than exec gives it. Every ID token that a client gets is verified by code that shares nothing with the emulator's.
//
// Where the operating system allows it, all of it happens in a network namespace that leads nowhere, and in which every
// attempt to reach an address off the machine, or to resolve a name, fails the test. See README.md.
package integration
