package iamcredentials_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// call calls a method for the target account.
func call(t *testing.T, e *emulatortest.Emulator, method, body string) map[string]string {
	t.Helper()
	var answer map[string]string
	e.CallJSON(t, http.MethodPost, "/v1/projects/-/serviceAccounts/"+emulatortest.Target+":"+method, body, &answer)
	return answer
}

// The claims of each kind of ID token.
func TestIDTokens(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const audience = "https://a.example.com?b=1"
	for options, want := range map[string]map[string]any{
		``: {"azp": emulatortest.TargetID},
		`,"includeEmail":true`: {
			"azp": emulatortest.TargetID, "email": emulatortest.Target, "email_verified": true,
		},
		`,"organizationNumberIncluded":true`: {
			"azp": emulatortest.TargetID, "google": map[string]any{"organization_number": nil},
		},
		`,"useEmailAzp":true`: {"azp": emulatortest.Target},
	} {
		t.Run(options, func(t *testing.T) {
			t.Parallel()
			want["aud"], want["sub"] = audience, emulatortest.TargetID
			e.CheckIDToken(t, call(t, e, "generateIdToken", `{"audience":"`+audience+`"`+options+`}`)["token"], want)
		})
	}
}

// Unlike the metadata server, IAM makes an access token for each call.
func TestAccessTokensAreNotCached(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	issue := func() string { return call(t, e, "generateAccessToken", `{"scope":["openid"]}`)["accessToken"] }
	if first := issue(); first == "" || first == issue() {
		t.Error("IAM gives the same access token twice")
	}
}

// A signature that IAM makes verifies with the keys that the account publishes.
func TestSignatures(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const published = "/service_accounts/v1/metadata/"
	for _, v := range []emulatortest.Verifier{
		e.Certificates(t, published+"x509/"+emulatortest.Target), e.JWKS(t, published+"jwk/"+emulatortest.Target),
		e.Certificates(t, "/robot/v1/metadata/x509/"+emulatortest.Target), e.JWKS(t, "/service_accounts/v1/jwk/"+emulatortest.Target),
	} {
		blob := call(t, e, "signBlob", `{"payload":"aGVsbG8="}`)
		signature, err := base64.StdEncoding.DecodeString(blob["signedBlob"])
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte("hello"))
		if err := rsa.VerifyPKCS1v15(v[blob["keyId"]], crypto.SHA256, digest[:], signature); err != nil {
			t.Errorf("signBlob: %v", err)
		}
		jwt := call(t, e, "signJwt", `{"payload":"{\"sub\":\"x\",\"n\":9007199254740993}"}`)
		claims, err := v.Verify(jwt["signedJwt"])
		if err != nil || claims["sub"] != "x" {
			t.Errorf("signJwt: %v, %v", claims, err)
		}
		if payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt["signedJwt"], ".")[1]); err != nil || string(payload) != `{"sub":"x","n":9007199254740993}` {
			t.Errorf("payload is %s, %v", payload, err)
		}
	}
}
