package control

import (
	"errors"
	"net/http"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// Dialect is that of Google's APIs, without the pages of the front ends before them: every
// error is JSON, whatever it is.
func Dialect() wire.Dialect {
	dialect := googleapi.Dialect()
	write := dialect.Error
	dialect.Error = func(r *http.Request, err error) wire.Response { return write(r, asAPI(err)) }
	return dialect
}

func asAPI(err error) error {
	known, ok := errors.AsType[*googleapi.Error](err)
	switch {
	case ok:
		return known
	case errors.Is(err, wire.ErrTooLarge):
		return &googleapi.Error{
			Code: http.StatusRequestEntityTooLarge, Status: "INVALID_ARGUMENT",
			Message: "the body is too large: one has up to a MiB, and a fixture 16",
		}
	case errors.Is(err, wire.ErrUnread):
		return googleapi.InvalidArgument("the body cannot be read to its end")
	case errors.Is(err, wire.ErrStopping):
		return googleapi.Unavailable("the emulator is being stopped")
	default:
		return &googleapi.Error{Code: http.StatusInternalServerError, Status: "INTERNAL", Message: "the emulator has failed; its log says why"}
	}
}
