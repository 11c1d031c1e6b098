package awsrequest

import (
	"fmt"
	"strings"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	service   = "sts"
	suffix    = "aws4_request"
)

// scope is the credential that a signature names: KEY/DATE/REGION/sts/aws4_request.
type scope struct{ keyID, date, region string }

func parseScope(text string) (scope, error) {
	const keyID, date, region, name, end, count = 0, 1, 2, 3, 4, 5
	parts := strings.Split(text, "/")
	if len(parts) != count || parts[name] != service || parts[end] != suffix {
		return scope{}, fmt.Errorf("%w: its credential %q is not KEY/DATE/REGION/%s/%s", ErrForm, text, service, suffix)
	}
	return scope{parts[keyID], parts[date], parts[region]}, nil
}

// parseAuthorization takes an Authorization field apart
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html).
func parseAuthorization(field string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(field, algorithm+" ")
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if parts[name] != "" {
			ok = false
		}
		parts[name] = value
	}
	if !ok || parts["Credential"] == "" || parts["SignedHeaders"] == "" || parts["Signature"] == "" || len(parts) != len("CSS") {
		return nil, fmt.Errorf("%w: its authorization is not %s Credential=…, SignedHeaders=…, Signature=…", ErrForm, algorithm)
	}
	return parts, nil
}
