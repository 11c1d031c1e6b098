// Package records is the vocabulary of replicas: a set of small named records that several processes
// share, and a copy of all of them in every process.
//
// Reading asks the copy, so nothing waits for a network. Writing is a [Change] that happens as a
// whole or not at all, in the same order for all processes. The package does not know the meaning of
// the records (see package replica), or how they travel (see package store/etcd).
package records

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Record is one record. Its name is a path such as keys/google/1.pem.
type Record struct {
	Name    string
	Value   []byte
	Version int64 // of its last change: larger is later, among all records; never 0
	Created int64 // the version of its first value
	Gone    bool  // the record was deleted by the change with this version, and has no value
}

// Condition holds if a record has a version. Version 0 means that the record does not exist.
type Condition struct {
	Name    string
	Version int64
}

// Entry is a new value of a record.
type Entry struct {
	Name  string
	Value []byte
	Lasts time.Duration // the record ends after this time, or somewhat later; zero: never
	Mine  bool          // the record ends soon after this process has ended
}

// Change is a change of the records as a whole, if every condition holds.
type Change struct {
	If      []Condition
	Put     []Entry
	Delete  []string
	Folders []string // all records in these folders are deleted too
}

// Limits of a change, which the limits of etcd's servers dictate: a request of 1.5 MiB, and 128
// operations.
const (
	MaxBytes      = 1 << 20
	MaxOperations = 100
)

// ErrConflict means that a condition of a change does not hold, so nothing has changed. The copy has
// the newer records already.
var ErrConflict = errors.New("the records have changed meanwhile")

// ProblemError is why a store cannot be used, in the words of the store's own settings.
type ProblemError struct{ Sentence, Advice string }

func (p *ProblemError) Error() string { return p.Sentence }

// Hint advises the user.
func (p *ProblemError) Hint() string { return p.Advice }

// UnreachableError means that the shared store does not answer, or that a ProblemError keeps this process
// from using it. A change may have happened all the same.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string {
	if _, ok := errors.AsType[*ProblemError](e.Err); ok {
		return fmt.Sprintf("the store that the replicas share cannot be used: %v", e.Err)
	}
	return fmt.Sprintf("the store that the replicas share does not answer: %v", e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint advises the user.
func (e *UnreachableError) Hint() string {
	if problem, ok := errors.AsType[*ProblemError](e.Err); ok {
		return problem.Hint()
	}
	return "see that the servers of --store run and can be reached, and send the request again"
}

// Store is a process's access to the records.
type Store interface {
	// Copy returns the copy of the records in this process.
	Copy() *Copy
	// Commit makes a change. When it returns, the copy has the change, and the functions that follow
	// it have been called. The error is ErrConflict or an *UnreachableError.
	Commit(ctx context.Context, change Change) error
	// Sync returns when the copy is at least as new as the records were at the call. The error is an
	// *UnreachableError.
	Sync(ctx context.Context) error
	// Contact returns the last time at which the store answered, by the machine's clock. While the copy
	// has changes that the store has lost, it returns the zero time.
	Contact() time.Time
	// Problem returns why the store refuses this process at present, as an *UnreachableError of a ProblemError,
	// or nil.
	Problem() error
}
