// Package signer signs and verifies what an emulator gives out: JSON Web Tokens and blobs
// with an RSA key (RS256, RFC 7518, section 3.3), and opaque tokens with a secret.
//
// It knows the form of tokens, not their meaning: whose they are, how long they last and
// whether they are accepted is for package server/token and the surfaces.
package signer
