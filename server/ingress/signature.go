package ingress

import (
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/iam"
)

// removed stands where the signature of a token has been.
const removed = "SIGNATURE_REMOVED_BY_GOOGLE"

// passedOn is what the service gets in the place of a token that was checked.
func (d Door) passedOn(p presented, c Credential) []Field {
	if !d.removesSignature(p.header, c) {
		return nil
	}
	return []Field{{p.header, withoutSignature(p.value)}}
}

// removesSignature is Google's rule: X-Serverless-Authorization always loses its signature, and
// Authorization if the token is one that a user has from gcloud, which every service would take
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

// untouched is what the service gets in the place of credentials that nobody looked at: only
// X-Serverless-Authorization loses its signature.
func (d Door) untouched(r Request) []Field {
	if d.Service.Signature == fixtures.SignatureNever || len(r.Serverless) != 1 || strings.Count(r.Serverless[0], ".") != 2 {
		return nil
	}
	return []Field{{Serverless, withoutSignature(r.Serverless[0])}}
}

// withoutSignature is a header value that ends in a JWT, with another text for the signature.
func withoutSignature(value string) string {
	value = strings.TrimSpace(value)
	return value[:strings.LastIndexByte(value, '.')+1] + removed
}
