package googleapi

import (
	"net/http"
	"strings"
)

// challenge asks for a bearer token (RFC 6750, section 3).
const challenge = `Bearer realm="https://accounts.google.com/"`

// expectedCredential ends the message of every error of status 401.
const expectedCredential = "Expected OAuth 2 access token, login cookie or other valid authentication credential. " +
	"See https://developers.google.com/identity/sign-in/web/devconsole-project."

// Reasons of errors about the credential of a request
// (https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto).
const (
	ReasonMissing = "CREDENTIALS_MISSING"
	ReasonScopes  = "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
)

// CredentialsMissing returns the error for a request without a credential, of status 401.
func CredentialsMissing() *Error {
	return &Error{
		Code:      http.StatusUnauthorized,
		Message:   "Request is missing required authentication credential. " + expectedCredential,
		Status:    "UNAUTHENTICATED",
		Challenge: challenge,
	}
}

// CredentialsInvalid returns the error, of status 401, for a request with an invalid credential.
func CredentialsInvalid() *Error {
	return Unauthenticated("Request had invalid authentication credentials. " + expectedCredential)
}

// Unauthenticated returns an error of status 401 with a message about the token of a request.
func Unauthenticated(message string) *Error {
	return &Error{Code: http.StatusUnauthorized, Message: message, Status: "UNAUTHENTICATED", Challenge: challenge + `, error="invalid_token"`}
}

// ScopesInsufficient returns the error, of status 403, for a request with a token without any of
// the method's scopes.
func ScopesInsufficient(accepted []string) *Error {
	err := PermissionDenied("Request had insufficient authentication scopes.")
	err.Challenge = challenge + `, error="insufficient_scope", scope="` + strings.Join(accepted, " ") + `"`
	return err
}
