package oauth2_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
)

// An ID token for an assertion names the account's e-mail address as authorized party.
func TestIDTokenForAnAssertion(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const audience = "https://a.example.com?b=1"
	e.CheckIDToken(t, e.ExchangedIDToken(t, audience), map[string]any{
		"aud": audience, "azp": emulatortest.Worker, "sub": emulatortest.WorkerID, "email": emulatortest.Worker, "email_verified": true,
	})
}

// An assertion signed by signBlob is accepted like one signed with a key file, although it names
// no key.
func TestAssertionSignedByIAM(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"RS256"}`)) + "." + encode(fmt.Appendf(nil,
		`{"iss":%q,"scope":%q,"aud":"https://oauth2.googleapis.com/token","iat":%d,"exp":%d}`, emulatortest.Target, emulatortest.Platform, emulatortest.Noon().Unix(), emulatortest.Noon().Unix()+600))
	var blob map[string]string
	e.CallJSON(t, http.MethodPost, "/v1/projects/-/serviceAccounts/"+emulatortest.Target+":signBlob",
		`{"payload":"`+base64.StdEncoding.EncodeToString([]byte(input))+`"}`, &blob)
	signature, err := base64.StdEncoding.DecodeString(blob["signedBlob"])
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	e.CallJSON(t, http.MethodPost, "/token",
		`{"grant_type":"urn:ietf:params:oauth:grant-type:jwt-bearer","assertion":"`+input+"."+encode(signature)+`"}`, &answer)
	var info map[string]string
	e.CallJSON(t, http.MethodGet, "/tokeninfo?access_token="+answer.AccessToken, "", &info)
	if info["azp"] != emulatortest.TargetID {
		t.Errorf("the token is of %v, want %s", info, emulatortest.TargetID)
	}
}

// A revoked assertion is refused.
func TestRevokedAssertion(t *testing.T) {
	t.Parallel()
	emulatortest.New(t).CheckRevoked(t, token.Order{
		Kind: token.KindJWT, Audience: "https://oauth2.googleapis.com/token", Scopes: []string{emulatortest.Platform},
	}, "POST /token\nContent-Type: application/x-www-form-urlencoded\n\ngrant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=%s")
}
