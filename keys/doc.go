// Package keys makes, keeps and publishes the keys of an emulator.
//
// A [Key] is an RSA-2048 key pair with a self-signed X.509 certificate in the form
// Google gives its own, and its ID is, as Google's are, the SHA-1 of that certificate.
// A [Set] is the keys that one signer uses: the active one that signs, the next one that
// is published before its time, and the retired ones that may still verify. A [Ring] holds
// the sets of one emulator: Google's own, and two for each service account. It also has the
// [Authority] that certifies the emulator's own TLS servers.
//
// Keys are kept as PEM files in a directory, one file a key, written whole or not at all;
// the first process to name a file wins and every other one takes what it finds, so that
// processes which share a directory share their keys. Nothing is made before it is needed.
//
// The package signs nothing but certificates; that is for package signer.
package keys
