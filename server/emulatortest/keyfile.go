package emulatortest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/assertion"
	"gcp-metadata-emulator/signer"
)

// KeyFile has the fields of a service account's key file that client libraries read.
type KeyFile struct {
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

// CreateKey creates a key of an account with the IAM API.
func (e *Emulator) CreateKey(t *testing.T, account string) KeyFile {
	t.Helper()
	var file KeyFile
	created := e.Do(t, "POST "+AccountsPath+"/"+account+"/keys", `{"keyAlgorithm":"KEY_ALG_RSA_1024"}`)
	text, _ := created["privateKeyData"].(string)
	content, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(content, &file)
	}
	if err != nil || file.ClientEmail != account || file.TokenURI != e.URL+"/token" {
		t.Fatalf("key file %+v: %v", file, err)
	}
	return file
}

// Works reports whether the token endpoint accepts an assertion that a key file signs now.
func (e *Emulator) Works(t *testing.T, file KeyFile) bool {
	t.Helper()
	now := e.Clock.Now().Unix()
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
		"assertion": {signedWith(t, file.PrivateKey, map[string]any{
			"iss": file.ClientEmail, "scope": Platform, "aud": file.TokenURI, "iat": now, "exp": now + 60,
		})},
	}
	request := Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, file.TokenURI, strings.NewReader(form.Encode())))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, _ := do(t, e.web.Client(), request)
	return status == http.StatusOK
}

// signedWith signs a JWT as a client with only a key file does.
func signedWith(t *testing.T, pemKey string, claims map[string]any) string {
	t.Helper()
	block, _ := pem.Decode([]byte(pemKey))
	parsed := Must[any](t)(x509.ParsePKCS8PrivateKey(block.Bytes))
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(input))
	key, _ := parsed.(*rsa.PrivateKey)
	return input + "." + encode(Must[[]byte](t)(rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])))
}

// Account returns the worker with a key, at the time of emulators.
func Account(key *keys.Key) assertion.Account {
	return assertion.Account{
		Email: Worker, UniqueID: WorkerID, Key: signer.RSA(key), Audience: "https://oauth2.googleapis.com/token", Now: Noon(),
	}
}

// Assertion signs a valid assertion of the worker with a key, after changes to its claims. Nil removes
// a claim.
func Assertion(t *testing.T, key *keys.Key, changes map[string]any) string {
	t.Helper()
	return Must[string](t)(Account(key).Sign(changes))
}

// ExchangedIDToken returns the ID token that the token endpoint gives the worker for an assertion.
func (e *Emulator) ExchangedIDToken(t *testing.T, audience string) string {
	t.Helper()
	key := Must[*keys.Key](t)(e.Keys.User(Worker, WorkerID).Active(t.Context()))
	signed := Assertion(t, key, map[string]any{"target_audience": audience})
	var answer map[string]string
	e.CallJSON(t, http.MethodPost, "/token",
		`{"grant_type":"urn:ietf:params:oauth:grant-type:jwt-bearer","assertion":"`+signed+`"}`, &answer)
	return answer["id_token"]
}
