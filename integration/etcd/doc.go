// Package etcd pins the server of etcd that tests build on machines that have none.
//
// It is a module of its own, so that the server's dependencies stay out of the emulator's. The command
// "go tool go.etcd.io/etcd/server/v3" runs the server.
package etcd
