package record

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/script"
)

const account = "/computeMetadata/v1/instance/service-accounts/default/"

// identity is an ID token without its signature, so it cannot be used.
type identity struct {
	Header json.RawMessage `json:"header"`
	Claims json.RawMessage `json:"claims"`
}

// askIdentities asks for an ID token of each format.
func (r *recorder) askIdentities(ctx context.Context) (map[string]identity, error) {
	found := map[string]identity{}
	for _, form := range []struct{ format, query string }{{"standard", ""}, {"full", "&format=full"}, {"full with licenses", "&format=full&licenses=TRUE"}} {
		answer, err := r.ask(ctx, "identity-"+strings.ReplaceAll(form.format, " ", "-"), script.Get(account+"identity?audience=https://record.example.com"+form.query))
		if err != nil {
			return found, err
		}
		parts := strings.Split(strings.TrimSpace(answer.Body), ".")
		const whole = 3
		if answer.Status != http.StatusOK || len(parts) != whole {
			continue
		}
		header, broken := base64.RawURLEncoding.DecodeString(parts[0])
		claims, alsoBroken := base64.RawURLEncoding.DecodeString(parts[1])
		if broken == nil && alsoBroken == nil && json.Valid(header) && json.Valid(claims) {
			found[form.format] = identity{Header: header, Claims: claims}
		}
	}
	return found, nil
}
