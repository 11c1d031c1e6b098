package control

import (
	"errors"
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Dialect returns the form of the control plane's answers: the dialect of Google's APIs, but with
// every error as JSON.
func Dialect() wire.Dialect {
	dialect := googleapi.Dialect()
	write := dialect.Error
	dialect.Error = func(r *http.Request, err error) wire.Response { return write(r, asAPI(err)) }
	return dialect
}

func asAPI(err error) error {
	known, ok := errors.AsType[*googleapi.Error](err)
	unavailable, isUnavailable := errors.AsType[*wire.UnavailableError](err)
	switch {
	case ok:
		return known
	case isUnavailable:
		return googleapi.OfUnavailable(unavailable)
	case errors.Is(err, wire.ErrTooLarge):
		return &googleapi.Error{
			Code: http.StatusRequestEntityTooLarge, Status: "INVALID_ARGUMENT",
			Message: "the body is too large: the limit is 1 MiB, or 16 MiB for a fixture",
		}
	case errors.Is(err, wire.ErrUnread):
		return googleapi.InvalidArgument("the body ended too early")
	case errors.Is(err, wire.ErrStopping):
		return googleapi.Unavailable("the emulator is stopping")
	default:
		return &googleapi.Error{Code: http.StatusInternalServerError, Status: "INTERNAL", Message: "internal error; see the emulator's log"}
	}
}
