// Package keys makes, keeps and publishes the keys of an emulator.
//
// A [Key] is an RSA-2048 key pair with a self-signed X.509 certificate in Google's form. As with
// Google's keys, its ID is the SHA-1 of this certificate. A [Set] holds the keys of one signer: the
// active key for signing, the next key, published before its time, and retired keys for
// verification only. A [Ring] holds the sets of one emulator: Google's own, and two for each
// service account. It also has the [Authority] of the emulator's own TLS servers.
//
// The package keeps keys as PEM files in a directory, one file per key, written whole or not at
// all. If several processes create a file, the first wins, and the others load its file. Processes
// with the same directory therefore share their keys. No key is made before it is needed.
//
// If a content is too long for a token, a ring also keeps this content in the directory. The token
// is therefore valid for all these processes.
//
// The package signs certificates only. Package signer signs everything else.
package keys
