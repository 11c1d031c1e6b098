// Package mds is the metadata server of an instance.
//
// Its tree is data: [build] turns the instance's metadata document into directories, lists,
// leaves and endpoints, and one renderer produces listings, texts, JSON and ETags for all of
// them. Two kinds of endpoint, token and identity, compute their answers per request. Every
// listed entry can be read.
//
// Rules and texts follow Google's server
// (https://cloud.google.com/compute/docs/metadata/querying-metadata). If Google's documentation
// is silent, they follow recordings.
package mds
