// Package integration runs Google's own clients, unmodified, against a running emulator: the Go,
// Node and Python libraries, the gcloud command, and a script that does everything by hand.
//
// It is a separate module, so that those libraries are not dependencies of the emulator. Apart
// from the tests of servertest, it imports no package of the emulator: it builds the binary and
// runs every client as "gcp-metadata-emulator exec -- CLIENT", with the environment that exec
// sets. Code that shares nothing with the emulator verifies every ID token that a client gets.
//
// If the operating system allows it, all tests run in a network namespace without a way out, in
// which any attempt to reach another machine or to resolve a name fails the test. See README.md.
package integration
