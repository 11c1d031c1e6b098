package compare

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a key ID is the SHA-1 of a certificate, as Google's are: a name, not a protection
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/script"
)

// surfaceChecks returns the checks of a surface. Without write, they change nothing.
func (c *comparison) surfaceChecks(surface Surface, account Account, write bool) []check {
	switch {
	case surface.Name == "certs":
		return []check{{keyIDs, checkKeyIDs}, {keyForms, checkKeyForms}, {ownKey, account.checkOwnKey}}
	case surface.Name == "iamcredentials":
		return []check{{permissions, c.checkPermissions}, {smallScope, c.checkSmallScope}}
	case surface.Name == "tokens" && write:
		return []check{{revokedToken, c.checkRevokedToken}}
	default:
		return nil
	}
}

// The names of the checks of surfaces.
const (
	keyIDs       = "key-ids"
	keyForms     = "key-forms"
	ownKey       = "own-key"
	revokedToken = "revoked-token"
	permissions  = "permissions"
	smallScope   = "small-scope"
)

// certificates returns certificates in PEM by key ID. If there are no certificates, it returns the status.
func certificates(ctx context.Context, s *script.Client) (map[string]string, string, error) {
	answer, err := s.Ask(ctx, "GET /oauth2/v1/certs\n\n")
	if err != nil {
		return nil, "", err
	}
	var found map[string]string
	_ = json.Unmarshal([]byte(answer.Body), &found)
	return found, fmt.Sprintf("status %d", answer.Status), nil
}

// webKey has the members of a JSON web key that the checks read.
type webKey struct {
	ID      string `json:"kid"`
	Modulus string `json:"n"`
}

// webKeys returns the JSON web keys at a path.
func webKeys(ctx context.Context, s *script.Client, path string) ([]webKey, error) {
	answer, err := s.Ask(ctx, "GET "+path+"\n\n")
	if err != nil {
		return nil, err
	}
	var found struct {
		Keys []webKey `json:"keys"`
	}
	_ = json.Unmarshal([]byte(answer.Body), &found)
	return found.Keys, nil
}

// checkKeyIDs compares each key ID with the SHA-1 of its certificate.
func checkKeyIDs(ctx context.Context, s *script.Client) ([]fact, error) {
	found, is, err := certificates(ctx, s)
	for id, text := range found {
		is = "the SHA-1 of the certificate"
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			is = "the ID of a text that is not PEM"
			break
		}
		if sum := sha1.Sum(block.Bytes); hex.EncodeToString(sum[:]) != id { //nolint:gosec // see the import
			is = "something else"
			break
		}
	}
	return []fact{{"the ID of a certificate", is}}, err
}

// checkKeyForms compares the IDs of certificates with the IDs of JSON web keys.
func checkKeyForms(ctx context.Context, s *script.Client) ([]fact, error) {
	found, _, err := certificates(ctx, s)
	if err != nil {
		return nil, err
	}
	keys, err := webKeys(ctx, s, "/oauth2/v3/certs")
	var ids []string
	for _, key := range keys {
		ids = append(ids, key.ID)
	}
	slices.Sort(ids)
	is := "of other keys than the certificates"
	if slices.Equal(ids, slices.Sorted(maps.Keys(found))) {
		is = "of the same keys as the certificates"
	}
	return []fact{{"the IDs of the JSON web keys", is}}, err
}

// checkOwnKey looks for the key of the key file among the account's.
func (a Account) checkOwnKey(ctx context.Context, s *script.Client) ([]fact, error) {
	keys, err := webKeys(ctx, s, "/service_accounts/v1/jwk/"+a.Email)
	is := "is not published"
	public, _ := a.Key.Public().(*rsa.PublicKey)
	for _, key := range keys {
		modulus, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(key.Modulus, "="))
		if public != nil && bytes.Equal(bytes.TrimLeft(modulus, "\x00"), public.N.Bytes()) {
			is = "is published"
		}
	}
	return []fact{{"the key of the key file", is}}, err
}

// step is a request of a check.
type step struct{ about, request string }

// checkRevokedToken revokes an access token of the account.
func (c *comparison) checkRevokedToken(ctx context.Context, s *script.Client) ([]fact, error) {
	const revoke = "POST /revoke\nContent-Type: application/x-www-form-urlencoded\n\ntoken=${access:email}\n"
	return c.steps(ctx, s, []step{
		{"POST of a token to /revoke", revoke},
		{"tokeninfo of a revoked token", "GET /tokeninfo?access_token=${access:email}\n\n"},
		{"POST of a revoked token to /revoke", revoke},
	})
}

// checkPermissions asks each method for a credential of the account itself. Unless it may impersonate itself, the
// answers name the permissions that it lacks.
func (c *comparison) checkPermissions(ctx context.Context, s *script.Client) ([]fact, error) {
	return c.steps(ctx, s, []step{
		{"generateAccessToken", impersonating("generateAccessToken", "bearer", `{"scope":["https://www.googleapis.com/auth/cloud-platform"]}`)},
		{"generateIdToken", impersonating("generateIdToken", "bearer", `{"audience":"https://service.example.com"}`)},
		{"signBlob", impersonating("signBlob", "bearer", `{"payload":"aGVsbG8="}`)},
		{"signJwt", impersonating("signJwt", "bearer", `{"payload":"{}"}`)},
	})
}

// checkSmallScope sends a request with a token of too small a scope.
func (c *comparison) checkSmallScope(ctx context.Context, s *script.Client) ([]fact, error) {
	return c.steps(ctx, s, []step{
		{"a token with the scope email", impersonating("generateAccessToken", "access:email-only", `{"scope":["https://www.googleapis.com/auth/cloud-platform"]}`)},
	})
}

// impersonating returns the request for a credential of the account, with a token by its name.
func impersonating(method, token, body string) string {
	return "POST /v1/projects/-/serviceAccounts/${account}:" + method +
		"\nAuthorization: Bearer ${" + token + "}\nContent-Type: application/json\n\n" + body
}

// steps asks the requests of a check in turn.
func (c *comparison) steps(ctx context.Context, s *script.Client, steps []step) ([]fact, error) {
	values := c.values
	if s == c.emulated {
		values = c.ownValues
	}
	var facts []fact
	for _, step := range steps {
		request, _ := bind(step.request, values)
		answer, err := s.Ask(ctx, request)
		if err != nil {
			return nil, err
		}
		facts = append(facts, fact{step.about, fmt.Sprintf("status %d%s", answer.Status, errorIn(answer.Body))})
	}
	return facts, nil
}

// errorIn describes the error in a body: its code, and the reasons and permissions in its details.
func errorIn(body string) string {
	var answer struct {
		Error any `json:"error"`
	}
	_ = json.Unmarshal([]byte(body), &answer)
	switch problem := answer.Error.(type) {
	case string:
		return fmt.Sprintf(", error %q", problem)
	case map[string]any:
		var described strings.Builder
		fmt.Fprintf(&described, ", error %q", problem["status"])
		details, _ := problem["details"].([]any)
		for _, detail := range details {
			members, _ := detail.(map[string]any)
			metadata, _ := members["metadata"].(map[string]any)
			fmt.Fprintf(&described, ", reason %q, permission %q", members["reason"], metadata["permission"])
		}
		return described.String()
	default:
		return ""
	}
}
