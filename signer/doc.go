// Package signer signs and verifies an emulator's tokens: JSON Web Tokens and blobs with an RSA
// key (RS256, RFC 7518, section 3.3), and opaque tokens with a secret.
//
// It knows the form of tokens, not their meaning. Package server/token and the surfaces decide
// on their subjects, lifetimes and acceptance.
package signer
