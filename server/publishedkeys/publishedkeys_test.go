package publishedkeys_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// A token that was issued before a rotation can be verified after it, and a new one has
// another key.
func TestRotationIsSeen(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	ids := func() []string {
		var list struct {
			Keys []struct{ Kid, State string }
		}
		e.CallJSON(t, http.MethodGet, "/emulator/v1/keys", "", &list)
		var ids []string
		for _, key := range list.Keys {
			ids = append(ids, key.State+" "+key.Kid)
		}
		return ids
	}
	kid := func(token string) string {
		header, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
		var fields struct {
			Kid string `json:"kid"`
		}
		if err := json.Unmarshal(header, &fields); err != nil {
			t.Fatal(err)
		}
		return fields.Kid
	}
	if err := e.Keys.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := e.ExchangedIDToken(t, "https://a.example")
	first := ids()
	e.Call(t, http.MethodPost, "/emulator/v1/keys:rotate", "{}")
	after := e.ExchangedIDToken(t, "https://a.example")
	_, activeID, _ := strings.Cut(first[0], " ")
	_, nextID, _ := strings.Cut(first[1], " ")
	if kid(before) != activeID || kid(after) != nextID {
		t.Errorf("signed with %s, then %s; the keys were %q", kid(before), kid(after), first)
	}
	if got := ids(); len(got) != 3 || got[0] != "retired "+activeID || got[1] != "active "+nextID {
		t.Errorf("the keys are %q", got)
	}
	for _, published := range []emulatortest.Verifier{e.JWKS(t, "/oauth2/v3/certs"), e.Certificates(t, "/oauth2/v1/certs")} {
		for _, token := range []string{before, after} {
			if _, err := published.Verify(token); err != nil {
				t.Errorf("%s: %v", kid(token), err)
			}
		}
	}
	e.Call(t, http.MethodPost, "/emulator/v1/keys:rotate", `{"keep":0}`)
	if _, err := e.JWKS(t, "/oauth2/v3/certs").Verify(after); err == nil {
		t.Error("a key that was not kept is still published")
	}
}

// An assertion of Identity-Aware Proxy verifies with the key that is published, in either
// form.
func TestIAPAssertion(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	var minted map[string]string
	e.CallJSON(t, http.MethodPost, "/emulator/v1/tokens",
		`{"kind":"iap","account":"dev@example.com","audience":"/projects/123456789012/global/backendServices/1","claims":{"hd":"example.com"}}`, &minted)
	parts := strings.Split(minted["token"], ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"aud":"/projects/123456789012/global/backendServices/1","email":"dev@example.com","exp":1795263000,"hd":"example.com",` +
		`"iat":1795262400,"iss":"https://cloud.google.com/iap","sub":"accounts.google.com:200000000000000000001"}`
	if string(claims) != want {
		t.Errorf("claims %s, want %s", claims, want)
	}
	var published map[string]string
	e.CallJSON(t, http.MethodGet, "/iap/verify/public_key", "", &published)
	var set struct{ Keys []map[string]string }
	e.CallJSON(t, http.MethodGet, "/iap/verify/public_key-jwk", "", &set)
	id := set.Keys[0]["kid"]
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if string(header) != `{"alg":"ES256","kid":"`+id+`","typ":"JWT"}` {
		t.Errorf("header %s, want the key %s", header, id)
	}
	block, _ := pem.Decode([]byte(published[id]))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		t.Fatalf("signature of %d bytes, %v", len(signature), err)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	key, _ := public.(*ecdsa.PublicKey)
	if !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the signature is not the key's")
	}
}
