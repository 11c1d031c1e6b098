// Package reason is the vocabulary of reasons: it names the rules by which the emulator refuses
// requests. The journal, the log, metrics and the page share these names.
//
// It owns the names and what they mean. It does not own the sentences, which the package that
// refuses a request makes, because only that package knows what the request lacks.
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
	External          Code = "external-traffic"
	ReservedPath      Code = "reserved-path"
	NoService         Code = "no-service"
	NoTunnel          Code = "no-tunnel"
)

// The codes of requests for which the emulator has no answer of its own.
const (
	NotPlayed     Code = "not-played"
	UnknownMethod Code = "unknown-method"
	ForeignHost   Code = "foreign-host"
	NotProxied    Code = "not-proxied"

	BadConnect     Code = "bad-connect"
	TooManyTunnels Code = "too-many-tunnels"
	Unreachable    Code = "unreachable"
)

// Entry is a code with its meaning.
type Entry struct {
	Code    Code
	Meaning string // completes "a request is refused because …"
}

// Vocabulary returns every code, in order.
func Vocabulary() []Entry {
	return []Entry{
		{NoCredential, "it has no credential"},
		{SeveralCredentials, "it has more than one credential"},
		{NotBearer, "its credential is not a bearer token"},
		{InvalidToken, "its token is not valid"},
		{MalformedToken, "its token cannot be read"},
		{ExpiredToken, "its token has expired"},
		{RevokedToken, "its token was revoked"},
		{InactivePrincipal, "the account of its token does not exist or is disabled"},
		{RealGoogle, "Google has issued its token"},
		{AccessToken, "its token is an access token, and an ID token is needed"},
		{NotIDToken, "its token is not an ID token"},
		{NotAccessToken, "its token is not an access token"},
		{Firebase, "its token is a token of Firebase"},
		{NoEmail, "its token has no e-mail address"},
		{NotSignedIn, "nobody has signed in"},
		{BadSignature, "its URL or message is not signed by the account that it names"},
		{WrongAudience, "its token is for another audience"},
		{WrongTarget, "its token is for another URL"},
		{InsufficientScope, "its token has none of the scopes that the method accepts"},
		{AccessBoundary, "its token is bounded to Cloud Storage"},
		{MissingRole, "its caller may not invoke the service"},
		{MissingPermission, "its caller lacks a permission"},
		{External, "the service takes no requests from outside its project"},
		{ReservedPath, "Google keeps its path for itself"},
		{NoService, "no service has its URL"},
		{NoTunnel, "it asks for a tunnel where there is none"},
		{NotPlayed, "the emulator does not play the method or the host of Google that it addresses"},
		{UnknownMethod, "no method of Google that the emulator knows has its path"},
		{ForeignHost, "it addresses a host name that is not the emulator's"},
		{NotProxied, "the emulator's proxy does not let it through"},
		{BadConnect, "it asks for a tunnel in a way that the proxy does not allow"},
		{TooManyTunnels, "the proxy has too many tunnels open"},
		{Unreachable, "the proxy cannot reach the host that it addresses"},
	}
}

// IsKnown reports whether the vocabulary has a code.
func IsKnown(code Code) bool {
	return slices.ContainsFunc(Vocabulary(), func(entry Entry) bool { return entry.Code == code })
}
