// Package oauthapi holds the vocabulary of the OAuth 2.0 endpoints: the names in RFC 6749 and its
// extensions, and the form of errors on Google's servers.
//
// Its surfaces (oauth2, sts, tokeninfo, userinfo) decide which errors to send.
package oauthapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// Error codes of RFC 6749, sections 4.1.2.1 and 5.2, RFC 6750, section 3.1, RFC 8628, section
// 3.5, and OpenID Connect Core 1.0, section 3.1.2.6.
const (
	InvalidRequest          = "invalid_request"
	InvalidClient           = "invalid_client"
	InvalidGrant            = "invalid_grant"
	InvalidScope            = "invalid_scope"
	InvalidTarget           = "invalid_target" // RFC 8693, section 2.2.2
	InvalidToken            = "invalid_token"
	UnauthorizedClient      = "unauthorized_client"
	UnsupportedGrantType    = "unsupported_grant_type"
	UnsupportedResponseType = "unsupported_response_type"
	RedirectURIMismatch     = "redirect_uri_mismatch" // defined by Google
	AccessDenied            = "access_denied"
	InteractionRequired     = "interaction_required"
	AuthorizationPending    = "authorization_pending"
	SlowDown                = "slow_down"
	ExpiredToken            = "expired_token"
	RateLimitExceeded       = "rate_limit_exceeded" // defined by Google
)

// Grant types of RFC 6749, RFC 7523 and RFC 8628, their names in drafts of the latter two, and
// the assertion type of the draft of RFC 7523.
const (
	GrantTypeAuthorizationCode = "authorization_code"
	GrantTypeTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693
	GrantTypeRefreshToken      = "refresh_token"
	GrantTypeJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	GrantTypeDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"
	GrantTypeDeviceDraft       = "http://oauth.net/grant_type/device/1.0"
	GrantTypeAssertion         = "assertion"
	AssertionTypeJWT           = "http://oauth.net/grant_type/jwt/1.0/bearer"
)

// TokenTypeBearer is the type of every access token (RFC 6750).
const TokenTypeBearer = "Bearer"

// BearerOf returns the bearer token of an Authorization header (RFC 6750, section 2.1), if there is
// one.
func BearerOf(authorization string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, TokenTypeBearer) && token != ""
}

// Error is an error answer of an OAuth 2.0 endpoint.
type Error struct {
	Status      int
	Code        string
	Description string
	Challenge   string // value of the WWW-Authenticate header; empty: no header

	why journal.Refusal // for the people who run the emulator
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

// KnownToClients marks the error as safe to send to clients.
func (e *Error) KnownToClients() {}

// Because returns the error with a reason that clients do not see.
func (e *Error) Because(format string, arguments ...any) *Error {
	return e.BecauseOf(journal.Refusal{Reason: fmt.Sprintf(format, arguments...)})
}

// BecauseOf returns the error with a reason that clients do not see. The reason may have its own
// code.
func (e *Error) BecauseOf(why journal.Refusal) *Error {
	explained := *e
	explained.why = why
	return &explained
}

// Refusal returns the reason of the error, or else its text for clients.
func (e *Error) Refusal() journal.Refusal {
	why := e.why
	why.Code = cmp.Or(why.Code, reason.Code(strings.ReplaceAll(e.Code, "_", "-")))
	why.Reason = cmp.Or(why.Reason, e.Error())
	return why
}

// NewError returns an error with status 400.
func NewError(code, description string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Description: description}
}

// Unauthorized returns an error with status 401.
func Unauthorized(code, description string) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: code, Description: description}
}

// Forbidden returns an error with status 403.
func Forbidden(code string) *Error {
	return &Error{Status: http.StatusForbidden, Code: code, Description: "Forbidden"}
}

// Missing returns the error for a request without the parameter.
func Missing(parameter string) *Error {
	return NewError(InvalidRequest, "Missing required parameter: "+parameter)
}

// InvalidSelection returns the error for an excerpt of a selection of fields that cannot be read.
func InvalidSelection(selection string) error {
	return NewError(InvalidRequest, "Invalid field selection "+selection)
}

// JSON returns a successful answer.
func JSON(value any) wire.Response {
	return jsonResponse(http.StatusOK, value)
}

func jsonResponse(status int, value any) wire.Response {
	return wire.Response{Status: status, ContentType: "application/json; charset=utf-8", Body: wire.Pretty(value)}
}

// Dialect returns the form of the OAuth 2.0 endpoints' answers. No answer may be cached (RFC
// 6749, section 5.1).
func Dialect() wire.Dialect {
	return wire.Dialect{
		Header: append(errorpage.FrontEnd(),
			wire.Field{Name: "Cache-Control", Value: "no-cache, no-store, max-age=0, must-revalidate"},
			wire.Field{Name: "Expires", Value: "Mon, 01 Jan 1990 00:00:00 GMT"},
			wire.Field{Name: "Pragma", Value: "no-cache"},
		),
		Error: writeError,
	}
}

// ofStatus returns the default error for a status, or nil if Google's server sends an HTML page.
func ofStatus(status int) *Error {
	err := &Error{Status: status}
	switch status {
	case http.StatusBadRequest:
		err.Code, err.Description = InvalidRequest, "Bad Request"
	case http.StatusUnauthorized:
		err.Code, err.Description = "invalid_client", "Unauthorized"
	case http.StatusForbidden:
		err.Code, err.Description = "access_denied", "Forbidden"
	case http.StatusTooManyRequests:
		err.Code, err.Description = "rate_limit_exceeded", "Rate Limit Exceeded"
	case http.StatusInternalServerError:
		err.Code, err.Description = "internal_failure", "Backend Error"
	case http.StatusServiceUnavailable:
		err.Code, err.Description = "temporarily_unavailable", "Service Unavailable"
	default:
		return nil
	}
	return err
}

func writeError(r *http.Request, err error) wire.Response {
	var known *Error
	if bare, ok := errors.AsType[*wire.StatusError](err); ok {
		known = ofStatus(bare.Status)
	}
	if refused, ok := errors.AsType[*wire.UnavailableError](err); ok {
		known.Description = refused.Error()
	}
	if known == nil && !errors.As(err, &known) {
		return errorpage.Error(r, err)
	}
	response := jsonResponse(known.Status, struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}{known.Code, known.Description})
	if known.Challenge != "" {
		response.Header = []wire.Field{{Name: "WWW-Authenticate", Value: known.Challenge}}
	}
	return response
}
