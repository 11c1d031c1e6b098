// Package oauth2 is the vocabulary of the OAuth 2.0 endpoints: the names of RFC 6749 and
// RFC 7523, their errors, and the dialect in which Google's servers write them.
//
// It decides nothing; the surfaces that use it do (grants, tokeninfo).
package oauth2

import (
	"errors"
	"net/http"

	"gcp-metadata-emulator/server/robot"
	"gcp-metadata-emulator/server/wire"
)

// Error codes of RFC 6749, section 5.2, and of RFC 6750, section 3.1.
const (
	InvalidRequest       = "invalid_request"
	InvalidGrant         = "invalid_grant"
	InvalidScope         = "invalid_scope"
	InvalidToken         = "invalid_token"
	UnauthorizedClient   = "unauthorized_client"
	UnsupportedGrantType = "unsupported_grant_type"
)

// GrantTypeJWTBearer is the grant type of RFC 7523, section 2.1.
const GrantTypeJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// Error is an error answer of an OAuth 2.0 endpoint.
type Error struct {
	Status      int // 0 for 400
	Code        string
	Description string
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

// KnownToClients marks the error as one that clients may read.
func (e *Error) KnownToClients() {}

// NewError is an answer with status 400.
func NewError(code, description string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Description: description}
}

// JSON is a successful answer.
func JSON(value any) wire.Response {
	return jsonResponse(http.StatusOK, value)
}

func jsonResponse(status int, value any) wire.Response {
	return wire.Response{Status: status, ContentType: "application/json; charset=utf-8", Body: wire.Pretty(value)}
}

// Dialect is how the OAuth 2.0 endpoints speak. Nothing they say may be cached (RFC 6749,
// section 5.1).
func Dialect() wire.Dialect {
	return wire.Dialect{
		Header: append(robot.FrontEnd(),
			wire.Field{Name: "Cache-Control", Value: "no-cache, no-store, max-age=0, must-revalidate"},
			wire.Field{Name: "Expires", Value: "Mon, 01 Jan 1990 00:00:00 GMT"},
			wire.Field{Name: "Pragma", Value: "no-cache"},
		),
		Error: writeError,
	}
}

func writeError(r *http.Request, err error) wire.Response {
	var known *Error
	if !errors.As(err, &known) {
		return robot.Error(r, err)
	}
	return jsonResponse(known.Status, struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}{known.Code, known.Description})
}
