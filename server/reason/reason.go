// Package reason is the vocabulary of reasons: it names the rules by which the emulator refuses
// requests. The journal, the log, metrics and the page share these names.
//
// It owns the names and their meanings. It does not own the sentences: the package that refuses a
// request makes them, because only this package knows the missing part of the request.
package reason

import "slices"

// Code names the rule by which a request was refused.
type Code string

// The codes of credentials.
const (
	NoCredential       Code = "no-credential"
	SeveralCredentials Code = "several-credentials"
	NotBearer          Code = "not-bearer"
	InvalidToken       Code = "invalid-token"
	MalformedToken     Code = "malformed-token"
	ExpiredToken       Code = "expired-token"
	RevokedToken       Code = "revoked-token"
	InactivePrincipal  Code = "inactive-principal"
	RealGoogle         Code = "real-google-token"
	AccessToken        Code = "access-token"
	NotIDToken         Code = "not-an-id-token"
	NotAccessToken     Code = "not-an-access-token"
	Firebase           Code = "firebase-token"
	NoEmail            Code = "no-email"
	NotSignedIn        Code = "not-signed-in"
	BadSignature       Code = "bad-signature" // of a signed URL
	WrongAudience      Code = "wrong-audience"
	WrongTarget        Code = "wrong-target"
	InsufficientScope  Code = "insufficient-scope"
	AccessBoundary     Code = "access-boundary"
)

// The codes of permissions and of the ways to a service.
const (
	MissingRole       Code = "missing-role" // to call a service
	MissingPermission Code = "missing-permission"
	UnknownRole       Code = "unknown-role"
	External          Code = "external-traffic"
	ReservedPath      Code = "reserved-path"
	NoService         Code = "no-service"
	NoTunnel          Code = "no-tunnel"
)

// The codes of requests without an answer of the emulator's own.
const (
	NotPlayed     Code = "not-played"
	UnknownMethod Code = "unknown-method"
	ForeignHost   Code = "foreign-host"
	NotProxied    Code = "not-proxied"

	BadConnect     Code = "bad-connect"
	TooManyTunnels Code = "too-many-tunnels"
	Unreachable    Code = "unreachable"
)

// The codes of requests to a metadata server.
const (
	FlavorMissing Code = "flavor-missing"
	Forwarded     Code = "forwarded"
	UnknownEntry  Code = "unknown-entry"
	NoAccount     Code = "no-account"
	NoInstance    Code = "no-instance"
	UnknownCaller Code = "unknown-caller"
	BadQuery      Code = "bad-query"
	WrongMethod   Code = "wrong-method"
	RateLimited   Code = "rate-limited"
	Disabled      Code = "disabled"
)

// The codes of requests that cannot be served as they are.
const (
	TooLarge      Code = "too-large"
	Unreadable    Code = "unreadable-body"
	ForeignOrigin Code = "foreign-origin"
	Stopping      Code = "stopping"
	Fault         Code = "fault"
	Upstream      Code = "upstream-failed"

	StoreUnreachable Code = "store-unreachable"
	KeyFile          Code = "key-file"
)

// The codes of Google's APIs (google.rpc.Code), for refusals that no other code describes better.
const (
	InvalidArgument    Code = "invalid-argument"
	FailedPrecondition Code = "failed-precondition"
	NotFound           Code = "not-found"
	AlreadyExists      Code = "already-exists"
	Aborted            Code = "aborted"
	PermissionDenied   Code = "permission-denied"
	Unauthenticated    Code = "unauthenticated"
	ResourceExhausted  Code = "resource-exhausted"
)

// The codes of OAuth 2.0 (RFC 6749 and its extensions), for refusals that no other code describes
// better.
const (
	InvalidRequest       Code = "invalid-request"
	InvalidClient        Code = "invalid-client"
	InvalidGrant         Code = "invalid-grant"
	InvalidScope         Code = "invalid-scope"
	InvalidTarget        Code = "invalid-target"
	UnauthorizedClient   Code = "unauthorized-client"
	UnsupportedGrantType Code = "unsupported-grant-type"
	RedirectURIMismatch  Code = "redirect-uri-mismatch"
	AccessDenied         Code = "access-denied"
	AuthorizationPending Code = "authorization-pending"
	SlowDown             Code = "slow-down"
)

// IsKnown reports whether the vocabulary has a code.
func IsKnown(code Code) bool {
	return slices.ContainsFunc(Vocabulary(), func(entry Entry) bool { return entry.Code == code })
}

// Hint returns the advice for a refusal with a code, for sentences without their own hint.
func (c Code) Hint() string {
	for _, entry := range Vocabulary() {
		if entry.Code == c {
			return entry.Hint
		}
	}
	return ""
}
