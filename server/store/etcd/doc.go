// Package etcd keeps the records of replicas in etcd, a store that several servers keep together.
//
// It owns how records travel: one watch fills the copy of this process, a change is one transaction,
// and leases end expiring records. It does not know the meaning of the records. Only the build with
// the tag "cluster" has more of it than this comment.
package etcd
