// Package googleapi is the vocabulary of Google's JSON APIs: errors of the form of AIP-193,
// request messages in the JSON mapping of protocol buffers, and query parameters.
//
// The surfaces (iamcredentials, control and others) implement the methods, and package guard decides
// which callers may call them.
package googleapi

import (
	"errors"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// ContentType is the content type of every JSON answer.
const ContentType = "application/json; charset=UTF-8"

// Error is an error answer of a Google API (https://google.aip.dev/193).
type Error struct {
	Code    int    `json:"code"` // the HTTP status
	Message string `json:"message"`
	Status  string `json:"status"`            // a name of google.rpc.Code
	Details []any  `json:"details,omitempty"` // ErrorInfo, BadRequest

	Challenge string `json:"-"` // the WWW-Authenticate header; may be empty

	Why journal.Refusal `json:"-"` // for the people who run the emulator
}

func (e *Error) Error() string { return e.Status + ": " + e.Message }

// KnownToClients marks the error: clients may read it.
func (e *Error) KnownToClients() {}

// Because returns the error with a reason that clients do not see.
func (e *Error) Because(why journal.Refusal) *Error {
	explained := *e
	explained.Why = why
	return &explained
}

// Refusal returns the reason of the error, or else its text for clients.
func (e *Error) Refusal() journal.Refusal {
	if e.Why.Reason != "" {
		return e.Why
	}
	return journal.Refusal{Code: reason.Code(strings.ToLower(strings.ReplaceAll(e.Status, "_", "-"))), Reason: e.Message}
}

// ErrorInfo is the cause of an error in a form for programs (google.rpc.ErrorInfo).
type ErrorInfo struct {
	Type     string            `json:"@type"`
	Reason   string            `json:"reason"`
	Domain   string            `json:"domain"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// ResourceInfo names the resource that an error is about (google.rpc.ResourceInfo).
type ResourceInfo struct {
	Type         string `json:"@type"`
	ResourceName string `json:"resourceName"`
}

// WithInfo adds the cause to the error, and returns the error.
func (e *Error) WithInfo(cause ErrorInfo) *Error {
	cause.Type = "type.googleapis.com/google.rpc.ErrorInfo"
	e.Details = append(e.Details, cause)
	return e
}

// Cause returns the cause that the error has got, or none.
func (e *Error) Cause() ErrorInfo {
	for _, detail := range e.Details {
		if cause, ok := detail.(ErrorInfo); ok {
			return cause
		}
	}
	return ErrorInfo{}
}

// WithResource adds the name of the resource that the error is about, and returns the error.
func (e *Error) WithResource(name string) *Error {
	e.Details = append(e.Details, ResourceInfo{Type: "type.googleapis.com/google.rpc.ResourceInfo", ResourceName: name})
	return e
}

// BadRequest lists the mistakes in a request message (google.rpc.BadRequest).
type BadRequest struct {
	Type            string           `json:"@type"`
	FieldViolations []FieldViolation `json:"fieldViolations"`
}

// FieldViolation is a mistake in one field.
type FieldViolation struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

// InvalidArgument returns an error of status 400.
func InvalidArgument(message string) *Error {
	return &Error{Code: http.StatusBadRequest, Message: message, Status: "INVALID_ARGUMENT"}
}

// NotFound returns an error of status 404.
func NotFound(message string) *Error {
	return &Error{Code: http.StatusNotFound, Message: message, Status: "NOT_FOUND"}
}

// PermissionDenied returns an error of status 403.
func PermissionDenied(message string) *Error {
	return &Error{Code: http.StatusForbidden, Message: message, Status: "PERMISSION_DENIED"}
}

// AlreadyExists returns an error of status 409 about a resource that already exists.
func AlreadyExists(message string) *Error {
	return &Error{Code: http.StatusConflict, Message: message, Status: "ALREADY_EXISTS"}
}

// Aborted returns an error of status 409 about a change that conflicts with an earlier change.
func Aborted(message string) *Error {
	return &Error{Code: http.StatusConflict, Message: message, Status: "ABORTED"}
}

// FailedPrecondition returns an error of status 400. The state of a resource does not allow the
// request.
func FailedPrecondition(message string) *Error {
	return &Error{Code: http.StatusBadRequest, Message: message, Status: "FAILED_PRECONDITION"}
}

// ResourceExhausted returns an error of status 429.
func ResourceExhausted(message string) *Error {
	return &Error{Code: http.StatusTooManyRequests, Message: message, Status: "RESOURCE_EXHAUSTED"}
}

// Unavailable returns an error of status 503.
func Unavailable(message string) *Error {
	return &Error{Code: http.StatusServiceUnavailable, Message: message, Status: "UNAVAILABLE"}
}

// OfUnavailable returns the error of status 503 with the reason why the emulator refuses the request,
// and a hint.
func OfUnavailable(refused *wire.UnavailableError) *Error {
	why := refused.Refusal()
	return Unavailable(why.Reason + "; hint: " + why.Hint).Because(why)
}

// OfStatus returns the error of Google's APIs for a status without further details: the name of
// google.rpc.Code that maps to the status, and the usual words. It returns nil if no name maps to
// the status.
func OfStatus(code int) *Error {
	err := &Error{Code: code}
	switch code {
	case http.StatusBadRequest:
		err.Status, err.Message = "INVALID_ARGUMENT", "Request contains an invalid argument."
	case http.StatusUnauthorized:
		return CredentialsInvalid()
	case http.StatusForbidden:
		err.Status, err.Message = "PERMISSION_DENIED", "The caller does not have permission"
	case http.StatusNotFound:
		err.Status, err.Message = "NOT_FOUND", "Requested entity was not found."
	case http.StatusConflict:
		err.Status, err.Message = "ABORTED", "The operation was aborted."
	case http.StatusTooManyRequests:
		err.Status, err.Message = "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."
	case http.StatusInternalServerError:
		err.Status, err.Message = "INTERNAL", "Internal error encountered."
	case http.StatusNotImplemented:
		err.Status, err.Message = "UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled."
	case http.StatusServiceUnavailable:
		err.Status, err.Message = "UNAVAILABLE", "The service is currently unavailable."
	case http.StatusGatewayTimeout:
		err.Status, err.Message = "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."
	default:
		return nil
	}
	return err
}

func invalidField(field, description string) *Error {
	err := InvalidArgument(description)
	err.Details = []any{BadRequest{
		Type:            "type.googleapis.com/google.rpc.BadRequest",
		FieldViolations: []FieldViolation{{Field: field, Description: description}},
	}}
	return err
}

// JSON returns a successful answer.
func JSON(value any) wire.Response {
	return wire.Response{ContentType: ContentType, Body: wire.Pretty(value)}
}

// Dialect returns the dialect of Google's APIs.
func Dialect() wire.Dialect {
	return wire.Dialect{
		Header: append(errorpage.FrontEnd(), wire.Field{Name: "Cache-Control", Value: "private"}),
		Error:  writeError,
	}
}

func writeError(r *http.Request, err error) wire.Response {
	var known *Error
	if refused, ok := errors.AsType[*wire.UnavailableError](err); ok {
		known = OfUnavailable(refused)
	} else if bare, ok := errors.AsType[*wire.StatusError](err); ok {
		known = OfStatus(bare.Status)
	}
	if known == nil && !errors.As(err, &known) {
		return errorpage.Error(r, err)
	}
	response := Reply(r, struct {
		Error *Error `json:"error"`
	}{known})
	response.Status = known.Code
	if known.Challenge != "" {
		response.Header = []wire.Field{{Name: "WWW-Authenticate", Value: known.Challenge}}
	}
	return response
}
