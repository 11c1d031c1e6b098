// Package assertion makes the assertions that the wire scripts of the token endpoint name: valid
// assertions, and assertions with one defect each. Tests send them to the emulator, and package
// compare also to a real server.
//
// It does not know the answers: the scripts do.
package assertion

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/signer"
)

// Account is a service account that signs assertions for a token endpoint.
type Account struct {
	Email    string
	UniqueID string
	Key      signer.Key
	Audience string // the URL of the token endpoint
	Now      time.Time
}

// Sign signs a valid assertion after changes to its claims. Nil removes a claim.
func (a Account) Sign(changes map[string]any) (string, error) {
	now := a.Now.Unix()
	claims := map[string]any{"iss": a.Email, "scope": iam.CloudPlatform, "aud": a.Audience, "iat": now, "exp": now + 3600}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return a.Key.JWT(claims)
}

// SignAll signs an assertion for each name in changes.
func (a Account) SignAll(changes map[string]map[string]any) (map[string]string, error) {
	signed := make(map[string]string, len(changes))
	for name, claims := range changes {
		text, err := a.Sign(claims)
		if err != nil {
			return nil, fmt.Errorf("assertion %q: %w", name, err)
		}
		signed[name] = text
	}
	return signed, nil
}

// All returns assertions by their names in scripts. The account does not have the stranger's key.
// No assertion is at the very end of a time, because requests take time.
func (a Account) All(stranger signer.Key) (map[string]string, error) {
	all, err := a.SignAll(a.changes())
	if err != nil {
		return nil, err
	}
	good := all["good"]
	all["two-parts"] = good[:strings.LastIndex(good, ".")]
	all["four-parts"] = good + ".AA"
	all["no-json"] = "aGVsbG8." + good[strings.Index(good, ".")+1:]
	all["tampered"] = Tampered(good)
	for _, algorithm := range []string{"none", "HS256"} {
		all["alg-"+algorithm] = withHeader(good, `{"alg":"`+algorithm+`","typ":"JWT"}`)
	}
	all["alg-absent"] = withHeader(good, `{"typ":"JWT"}`)
	a.Key = stranger
	all["other-key"], err = a.Sign(nil)
	return all, err
}

// changes returns the changes to the claims of a valid assertion, by name.
func (a Account) changes() map[string]map[string]any {
	now := a.Now.Unix()
	_, domain, _ := strings.Cut(a.Email, "@")
	return map[string]map[string]any{
		"good":              {},
		"id-token":          {"target_audience": "https://service.example.com", "scope": ""},
		"email":             {"scope": iam.CloudPlatform + " email"},
		"email-only":        {"scope": "email"},
		"unique-id":         {"iss": a.UniqueID},
		"aud-list":          {"aud": []string{a.Audience}},
		"aud-absent":        {"aud": nil},
		"aud-wrong":         {"aud": "https://token.invalid/"}, // a host that nobody can have (RFC 6761, section 6.4)
		"iss-unknown":       {"iss": "nobody@" + domain},
		"iss-absent":        {"iss": nil},
		"iat-absent":        {"iat": nil},
		"exp-absent":        {"exp": nil},
		"iat-text":          {"iat": "soon"},
		"digits":            {"iat": strconv.FormatInt(now, 10), "exp": strconv.FormatInt(now+3600, 10)},
		"iat-ahead":         {"iat": now + 240, "exp": now + 3840},
		"iat-hour-ahead":    {"iat": now + 3600, "exp": now + 7200},
		"sub-number":        {"sub": 123},
		"legacy-scopes":     {"scope": "https://spreadsheets.google.com/feeds https://www.googleapis.com/auth/drive"},
		"expired":           {"iat": now - 7200, "exp": now - 3600},
		"php":               {"iat": now - 60},
		"two-hours":         {"exp": now + 7200},
		"backwards":         {"iat": now, "exp": now - 1},
		"huge":              {"iat": now, "exp": json.Number("1e300")},
		"scope-absent":      {"scope": nil},
		"scope-unknown":     {"scope": "https://my-service.example.com"},
		"scope-some":        {"scope": iam.CloudPlatform + " not-a-scope"},
		"sub-self":          {"sub": a.Email},
		"sub-null":          {"sub": json.RawMessage("null")},
		"sub-unknown":       {"sub": "nobody@example.com"},
		"several-scopes":    {"scope": iam.CloudPlatform + " openid"},
		"wrong-and-expired": {"aud": "x", "exp": now - 3600, "iat": now - 7200},
	}
}

// Tampered changes one byte in the middle of a token's claims.
func Tampered(jwt string) string {
	const into = 10
	middle := []byte(jwt)
	middle[strings.Index(jwt, ".")+into] ^= 1
	return string(middle)
}

func withHeader(jwt, header string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + jwt[strings.Index(jwt, "."):]
}
