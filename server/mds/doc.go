// Package mds is the metadata server of an instance.
//
// The tree that it serves is data: [build] makes directories, lists, leaves and endpoints
// of the instance's metadata document, and the same renderer makes listings, texts, JSON
// and ETags of all of them. Two kinds of endpoint make their answer on the spot, token and
// identity. Whatever is listed can be read.
//
// The rules and texts are those of Google's server
// (https://cloud.google.com/compute/docs/metadata/querying-metadata); where Google's
// documentation is silent, recordings decided.
package mds
