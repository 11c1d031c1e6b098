package wire

import (
	"net/http"

	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/records"
)

// unsavedError refuses a request whose change cannot be saved, because the store of the replicas does
// not answer. To a dialect it is a StatusError.
type unsavedError struct{ lost *records.UnreachableError }

func (e *unsavedError) Error() string { return e.lost.Error() }

// KnownToClients marks the error as one that clients may read.
func (e *unsavedError) KnownToClients() {}

// Unwrap returns what a dialect needs to know.
func (e *unsavedError) Unwrap() []error {
	return []error{&StatusError{Status: http.StatusServiceUnavailable}, e.lost}
}

// Refusal returns the reason of the error.
func (e *unsavedError) Refusal() journal.Refusal {
	return journal.Refusal{Code: reason.StoreUnreachable, Reason: e.Error(), Hint: e.lost.Hint()}
}
