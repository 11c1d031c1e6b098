package wire

import (
	"errors"
	"net/http"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/records"
)

// UnavailableError refuses a request because of something outside of the emulator that somebody can
// mend: the store of the replicas does not answer, or a key file cannot be used. To a dialect it is a
// StatusError.
type UnavailableError struct {
	cause interface {
		error
		Hint() string
	}
	code reason.Code
}

// Unavailable returns the UnavailableError of an error. ok is false for other errors.
func Unavailable(err error) (_ *UnavailableError, ok bool) {
	if lost, ok := errors.AsType[*records.UnreachableError](err); ok {
		return &UnavailableError{cause: lost, code: reason.StoreUnreachable}, true
	}
	if file, ok := errors.AsType[*keys.FileError](err); ok {
		return &UnavailableError{cause: file, code: reason.KeyFile}, true
	}
	return nil, false
}

func (e *UnavailableError) Error() string { return e.cause.Error() }

// KnownToClients marks the error as safe for clients to read.
func (e *UnavailableError) KnownToClients() {}

// Unwrap returns the errors that a dialect needs: the status and the cause.
func (e *UnavailableError) Unwrap() []error {
	return []error{&StatusError{Status: http.StatusServiceUnavailable}, e.cause}
}

// Refusal returns the reason of the error.
func (e *UnavailableError) Refusal() journal.Refusal {
	return journal.Refusal{Code: e.code, Reason: e.Error(), Hint: e.cause.Hint()}
}
