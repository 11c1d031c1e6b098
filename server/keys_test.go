package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
)

// Each published key set has a kind of token that is signed with it. A new route of keys needs a
// row here.
func TestEveryPublishedKeySetSigns(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const securetoken = "securetoken@system.gserviceaccount.com"
	for path, name := range server.KeyPaths() {
		orders := map[string]string{
			"keys.jwks":                  `{"kind": "id", "audience": "x"}`,
			"keys.certs":                 `{"kind": "id", "audience": "x"}`,
			"keys.firebase-session.x509": `{"kind": "firebase-session", "user": "u1"}`,
			"keys.firebase-session.jwk":  `{"kind": "firebase-session", "user": "u1"}`,
			"keys.iap.pem":               `{"kind": "iap", "account": "dev@example.com", "audience": "x"}`,
			"keys.iap.jwk":               `{"kind": "iap", "account": "dev@example.com", "audience": "x"}`,
		}
		if strings.Contains(path, "{account}") {
			checkSigns(t, e, name, strings.ReplaceAll(path, "{account}", emulatortest.Worker), `{"kind": "jwt", "account": "`+emulatortest.Worker+`"}`)
			checkSigns(t, e, name, strings.ReplaceAll(path, "{account}", securetoken), `{"kind": "firebase", "user": "u1"}`)
			checkSigns(t, e, name, strings.ReplaceAll(path, "{account}", securetoken), `{"kind": "jwt", "account": "`+securetoken+`", "claims": {"sub": "u1"}}`)
			continue
		}
		order, ok := orders[name]
		if !ok {
			t.Errorf("no token is signed with the keys at %s", path)
			continue
		}
		checkSigns(t, e, name, path, order)
	}
}

// checkSigns checks that the order's token names a key that is published at path, and that it
// verifies with that key if the keys have the form of certificates or of an RSA key set.
func checkSigns(t *testing.T, e *emulatortest.Emulator, name, path, order string) {
	t.Helper()
	var minted struct{ Token string }
	e.CallJSON(t, http.MethodPost, "/emulator/v1/tokens", order, &minted)
	var published emulatortest.Verifier
	switch {
	case strings.HasPrefix(name, "keys.iap"), name == "keys.account.raw":
		header := emulatortest.Must[[]byte](t)(base64.RawURLEncoding.DecodeString(strings.Split(minted.Token, ".")[0]))
		var named struct {
			Kid string `json:"kid"`
		}
		if err := json.Unmarshal(header, &named); err != nil || !strings.Contains(e.Call(t, http.MethodGet, path, ""), `"`+named.Kid+`"`) {
			t.Errorf("%s does not publish the key %q of %s, %v", path, named.Kid, order, err)
		}
		return
	case strings.HasSuffix(name, "certs"), strings.HasSuffix(name, "x509"):
		published = e.Certificates(t, path)
	default:
		published = e.JWKS(t, path)
	}
	if _, err := published.Verify(minted.Token); err != nil {
		t.Errorf("%s does not verify with the keys at %s: %v", order, path, err)
	}
}

// The keys of Firebase rotate together with the keys of ID tokens: old tokens stay good, new tokens
// have new keys, and a key that is not kept is no longer published.
func TestFirebaseKeysRotate(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	for path, kind := range map[string]string{
		"/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com": "firebase",
		"/identitytoolkit/v3/relyingparty/publicKeys":                    "firebase-session",
	} {
		mint := func() string {
			var minted struct{ Token string }
			e.CallJSON(t, http.MethodPost, "/emulator/v1/tokens", `{"kind": "`+kind+`", "user": "u1"}`, &minted)
			return minted.Token
		}
		before := mint()
		e.Call(t, http.MethodPost, "/emulator/v1/keys:rotate", "{}")
		after := mint()
		for _, token := range []string{before, after} {
			if _, err := e.Certificates(t, path).Verify(token); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		if strings.Split(before, ".")[0] == strings.Split(after, ".")[0] {
			t.Errorf("%s: the same key signs after a rotation", kind)
		}
		if list := e.Call(t, http.MethodGet, "/emulator/v1/keys", ""); strings.Count(list, `"use": "`+kind+`"`) != 3 {
			t.Errorf("%s: want a retired, an active and a next key in %s", kind, list)
		}
		e.Call(t, http.MethodPost, "/emulator/v1/keys:rotate", `{"keep": 0}`)
		if _, err := e.Certificates(t, path).Verify(before); err == nil {
			t.Errorf("%s: a key that was not kept is still published", kind)
		}
	}
}
