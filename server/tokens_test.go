package server_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/keys"
)

const (
	target   = "target@demo-project.iam.gserviceaccount.com"
	targetID = "100000000000000000003"
	defaults = "123456789012-compute@developer.gserviceaccount.com"

	wireNowUnix = 1795262400
)

// call sends a request and returns the body of a 200.
func (e *emulator) call(t *testing.T, method, path, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, e.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Metadata-Flavor", "Google")
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer x")
	}
	response, err := e.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: status %d, %v\n%s", method, path, response.StatusCode, err, content)
	}
	return string(content)
}

func (e *emulator) callJSON(t *testing.T, method, path, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.call(t, method, path, body)), into); err != nil {
		t.Fatal(err)
	}
}

// iam calls a method of IAM Credentials for the target account.
func (e *emulator) iam(t *testing.T, method, body string) map[string]string {
	t.Helper()
	var answer map[string]string
	e.callJSON(t, http.MethodPost, "/v1/projects/-/serviceAccounts/"+target+":"+method, body, &answer)
	return answer
}

// verifier knows keys by their IDs, as a service does; it shares no code with the server.
type verifier map[string]*rsa.PublicKey

// jwks reads keys as JSON web keys.
func (e *emulator) jwks(t *testing.T, path string) verifier {
	t.Helper()
	var set struct {
		Keys []struct{ Kid, N, E, Alg, Use, Kty string }
	}
	e.callJSON(t, http.MethodGet, path, "", &set)
	known := verifier{}
	for _, key := range set.Keys {
		modulus, err := base64.RawURLEncoding.DecodeString(key.N)
		if err != nil {
			t.Fatal(err)
		}
		exponent, err := base64.RawURLEncoding.DecodeString(key.E)
		if err != nil {
			t.Fatal(err)
		}
		known[key.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	}
	return known
}

// certificates reads keys as X.509 certificates.
func (e *emulator) certificates(t *testing.T, path string) verifier {
	t.Helper()
	var certificates map[string]string
	e.callJSON(t, http.MethodGet, path, "", &certificates)
	known := verifier{}
	for id, text := range certificates {
		block, _ := pem.Decode([]byte(text))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		known[id], _ = cert.PublicKey.(*rsa.PublicKey)
	}
	return known
}

// verify returns the claims of a token that is signed with one of the keys.
func (v verifier) verify(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts", len(parts))
	}
	var header struct{ Alg, Kid, Typ string }
	var claims map[string]any
	for i, into := range []any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, into); err != nil {
			return nil, err
		}
	}
	key, ok := v[header.Kid]
	if !ok || header.Alg != "RS256" || header.Typ != "JWT" {
		return nil, fmt.Errorf("header %+v", header)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return claims, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature)
}

// The claims of each kind of ID token, and that they verify against what is published, in
// either form, and not after a change of one byte.
func TestIDTokens(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	verifiers := []verifier{e.jwks(t, "/oauth2/v3/certs"), e.certificates(t, "/oauth2/v1/certs")}
	identity := "/computeMetadata/v1/instance/service-accounts/default/identity?audience=https://a.example.com%3Fb%3D1"
	audience := "https://a.example.com?b=1"
	computeEngine := map[string]any{
		"instance_creation_timestamp": 1767225600.0, "instance_id": "6770654561797697182", "instance_name": "demo-vm",
		"project_id": "demo-project", "project_number": 123456789012.0, "zone": "us-central1-a",
	}
	licensed := map[string]any{"license_id": []any{"2147286739765738111"}}
	maps.Copy(licensed, computeEngine)
	const defaultID = "100000000000000000001"
	tests := []struct {
		name  string
		token string
		want  map[string]any
	}{
		{"metadata standard", e.call(t, "GET", identity, ""), map[string]any{"azp": defaultID, "sub": defaultID}},
		{"metadata standard by name", e.call(t, "GET", identity+"&format=standard&licenses=TRUE", ""), map[string]any{"azp": defaultID, "sub": defaultID}},
		{"metadata full", e.call(t, "GET", identity+"&format=full&licenses=FALSE", ""), map[string]any{
			"azp": defaultID, "sub": defaultID, "email": defaults, "email_verified": true,
			"google": map[string]any{"compute_engine": computeEngine},
		}},
		{"metadata licenses", e.call(t, "GET", identity+"&format=full&licenses=TRUE", ""), map[string]any{
			"azp": defaultID, "sub": defaultID, "email": defaults, "email_verified": true,
			"google": map[string]any{"compute_engine": licensed},
		}},
		{"token endpoint", e.exchangedIDToken(t, audience), map[string]any{
			"azp": worker, "sub": workerID, "email": worker, "email_verified": true,
		}},
		{"IAM", e.iam(t, "generateIdToken", `{"audience":"`+audience+`"}`)["token"], map[string]any{"azp": targetID, "sub": targetID}},
		{"IAM email", e.iam(t, "generateIdToken", `{"audience":"`+audience+`","includeEmail":true}`)["token"], map[string]any{
			"azp": targetID, "sub": targetID, "email": target, "email_verified": true,
		}},
		{"IAM organisation", e.iam(t, "generateIdToken", `{"audience":"`+audience+`","organizationNumberIncluded":true}`)["token"], map[string]any{
			"azp": targetID, "sub": targetID, "google": map[string]any{"organization_number": nil},
		}},
		{"IAM azp", e.iam(t, "generateIdToken", `{"audience":"`+audience+`","useEmailAzp":true}`)["token"], map[string]any{"azp": target, "sub": targetID}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.want["aud"], test.want["iss"] = audience, "https://accounts.google.com"
			test.want["iat"], test.want["exp"] = float64(wireNowUnix), float64(wireNowUnix+3600)
			for _, v := range verifiers {
				claims, err := v.verify(test.token)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, claims); diff != "" {
					t.Errorf("claims (-want +got):\n%s", diff)
				}
				for i := 5; i < len(test.token)-1; i += 31 {
					changed := []byte(test.token)
					changed[i] ^= 1
					if claims, err := v.verify(string(changed)); err == nil {
						t.Fatalf("verifies with byte %d changed: %v", i, claims)
					}
				}
			}
		})
	}
}

func (e *emulator) exchangedIDToken(t *testing.T, audience string) string {
	t.Helper()
	key := must[*keys.Key](t)(e.ring.User(worker, workerID).Active(context.Background()))
	signed := assertion(t, key, wireNowUnix, map[string]any{"target_audience": audience})
	var answer map[string]string
	e.callJSON(t, http.MethodPost, "/token",
		`{"grant_type":"urn:ietf:params:oauth:grant-type:jwt-bearer","assertion":"`+signed+`"}`, &answer)
	return answer["id_token"]
}

// What IAM signs verifies with the keys that the account publishes.
func TestSignatures(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	const published = "/service_accounts/v1/metadata/"
	for _, v := range []verifier{
		e.certificates(t, published+"x509/"+target), e.jwks(t, published+"jwk/"+target),
		e.certificates(t, "/robot/v1/metadata/x509/"+target), e.jwks(t, "/service_accounts/v1/jwk/"+target),
	} {
		blob := e.iam(t, "signBlob", `{"payload":"aGVsbG8="}`)
		signature, err := base64.StdEncoding.DecodeString(blob["signedBlob"])
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte("hello"))
		if err := rsa.VerifyPKCS1v15(v[blob["keyId"]], crypto.SHA256, digest[:], signature); err != nil {
			t.Errorf("signBlob: %v", err)
		}
		jwt := e.iam(t, "signJwt", `{"payload":"{\"sub\":\"x\",\"n\":9007199254740993}"}`)
		claims, err := v.verify(jwt["signedJwt"])
		if err != nil || claims["sub"] != "x" {
			t.Errorf("signJwt: %v, %v", claims, err)
		}
		if payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt["signedJwt"], ".")[1]); err != nil || string(payload) != `{"sub":"x","n":9007199254740993}` {
			t.Errorf("payload is %s, %v", payload, err)
		}
	}
}

// A signature made with signBlob is as good an assertion as one of a key file, although it
// names no key.
func TestAssertionSignedByIAM(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"RS256"}`)) + "." + encode(fmt.Appendf(nil,
		`{"iss":%q,"scope":%q,"aud":"https://oauth2.googleapis.com/token","iat":%d,"exp":%d}`, target, platform, wireNowUnix, wireNowUnix+600))
	blob := e.iam(t, "signBlob", `{"payload":"`+base64.StdEncoding.EncodeToString([]byte(input))+`"}`)
	signature, err := base64.StdEncoding.DecodeString(blob["signedBlob"])
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	e.callJSON(t, http.MethodPost, "/token",
		`{"grant_type":"urn:ietf:params:oauth:grant-type:jwt-bearer","assertion":"`+input+"."+encode(signature)+`"}`, &answer)
	var info map[string]string
	e.callJSON(t, http.MethodGet, "/tokeninfo?access_token="+answer.AccessToken, "", &info)
	if info["azp"] != targetID {
		t.Errorf("the token is of %v, want %s", info, targetID)
	}
}

// The metadata server gives the same token again, to any number who ask at once.
func TestTokensAreCached(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	for _, path := range []string{
		"default/token", "default/identity?audience=x", "default/identity?audience=x&format=full",
	} {
		const count = 20
		got := make([]string, count)
		var group sync.WaitGroup
		for i := range count {
			group.Go(func() { got[i] = e.call(t, "GET", "/computeMetadata/v1/instance/service-accounts/"+path, "") })
		}
		group.Wait()
		for i := range got {
			if got[i] != got[0] {
				t.Errorf("%s: answers %d and 0 differ", path, i)
			}
		}
	}
	// An alias and the e-mail address are the same account.
	if e.call(t, "GET", "/computeMetadata/v1/instance/service-accounts/default/token", "") !=
		e.call(t, "GET", "/computeMetadata/v1/instance/service-accounts/"+defaults+"/token", "") {
		t.Error("the account has another token under its e-mail address")
	}
	issue := func() string { return e.iam(t, "generateAccessToken", `{"scope":["openid"]}`)["accessToken"] }
	if first := issue(); first == issue() {
		t.Error("IAM gives the same access token twice")
	}
}
