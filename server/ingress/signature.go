package ingress

import (
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
)

// passedOn returns the header field that replaces a verified token, if the service must not see the
// signature.
func (d Door) passedOn(p presented, c Credential) []Field {
	if !d.removesSignature(p.header, c) {
		return nil
	}
	return []Field{{p.header, withoutSignature(p.value)}}
}

// removesSignature reports whether a verified token loses its signature. By Google's rule
// X-Serverless-Authorization always does; Authorization does if the token is a user's from gcloud,
// because other services would accept this token too
// (https://cloud.google.com/run/docs/troubleshooting#signature-redacted).
func (d Door) removesSignature(header string, c Credential) bool {
	switch d.Service.Signature {
	case fixtures.SignatureAlways:
		return true
	case fixtures.SignatureNever:
		return false
	case fixtures.SignatureAuto:
	}
	return header == Serverless || c.Principal.Kind == iam.KindUser && slices.ContainsFunc(c.Audiences, isGcloud)
}

// Untouched returns the header field that replaces an unchecked token: only
// X-Serverless-Authorization loses its signature.
func (d Door) Untouched(r Request) []Field {
	if d.Service.Signature == fixtures.SignatureNever || len(r.Serverless) != 1 || strings.Count(r.Serverless[0], ".") != 2 {
		return nil
	}
	return []Field{{Serverless, withoutSignature(r.Serverless[0])}}
}

// SentOn returns the header field with the ID token by which a front end of Google's calls the service.
func (d Door) SentOn(text string) Field {
	value := "bearer " + text
	if d.Service.Signature != fixtures.SignatureNever {
		value = withoutSignature(value)
	}
	return Field{Serverless, value}
}

// withoutSignature replaces the signature in a header value that ends in a JWT.
func withoutSignature(value string) string {
	value = strings.TrimSpace(value)
	return value[:strings.LastIndexByte(value, '.')+1] + token.RemovedSignature
}
