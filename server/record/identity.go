package record

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"gcp-metadata-emulator/server/script"
)

const account = "/computeMetadata/v1/instance/service-accounts/default/"

// identity is an ID token without its signature, so that nobody can use it.
type identity struct {
	Header json.RawMessage `json:"header"`
	Claims json.RawMessage `json:"claims"`
}

// identities asks for an ID token of each format.
func (r *recorder) identities(ctx context.Context) (map[string]identity, error) {
	found := map[string]identity{}
	for format, query := range map[string]string{"standard": "", "full": "&format=full", "full with licenses": "&format=full&licenses=TRUE"} {
		answer, err := r.ask(ctx, "identity-"+named(format), script.Get(account+"identity?audience=https://record.example.com"+query))
		if err != nil {
			return nil, err
		}
		parts := strings.Split(strings.TrimSpace(answer.Body), ".")
		const whole = 3
		if answer.Status != http.StatusOK || len(parts) != whole {
			continue
		}
		header, broken := base64.RawURLEncoding.DecodeString(parts[0])
		claims, alsoBroken := base64.RawURLEncoding.DecodeString(parts[1])
		if broken == nil && alsoBroken == nil && json.Valid(header) && json.Valid(claims) {
			found[format] = identity{Header: header, Claims: claims}
		}
	}
	return found, nil
}

// withoutToken returns a text without access tokens and without signatures, whose lengths stay.
func withoutToken(body string) string {
	body = regexp.MustCompile(`\b(ya29\.(?:[a-z]\.)?)[A-Za-z0-9_-]+`).ReplaceAllStringFunc(body, func(token string) string {
		prefix := token[:strings.LastIndex(token, ".")+1]
		return prefix + strings.Repeat("x", len(token)-len(prefix))
	})
	return regexp.MustCompile(`\b(eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.)([A-Za-z0-9_-]+)`).ReplaceAllStringFunc(body, func(jwt string) string {
		end := strings.LastIndex(jwt, ".") + 1
		return jwt[:end] + strings.Repeat("x", len(jwt)-end)
	})
}
