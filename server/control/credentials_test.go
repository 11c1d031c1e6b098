package control_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// A key file from the control plane gets an access token.
func TestCredentialsHaveGoodKey(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	account := emulatortest.Email("target")
	given := func() emulatortest.KeyFile {
		var file emulatortest.KeyFile
		e.CallJSON(t, http.MethodGet, "/emulator/v1/credentials/service-account?account="+account, "", &file)
		return file
	}
	for _, change := range []string{"POST %s:disable", "DELETE %s"} {
		before := given()
		e.Do(t, fmt.Sprintf(change, emulatortest.AccountsPath+"/"+account+"/keys/"+before.PrivateKeyID), "")
		if after := given(); after.PrivateKeyID == before.PrivateKeyID || !e.Works(t, after) {
			t.Errorf("after "+change+" the key file does not work", before.PrivateKeyID)
		}
	}
}

// A key file works at every time of the clock.
func TestKeyFileWorksAtEveryTime(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	var given emulatortest.KeyFile
	e.CallJSON(t, http.MethodGet, "/emulator/v1/credentials/service-account?account="+emulatortest.Email("target"), "", &given)
	for _, text := range []string{"2026-11-20T12:00:00Z", "2024-01-01T00:00:00Z", "2031-01-01T00:00:00Z"} {
		e.Call(t, http.MethodPut, "/emulator/v1/clock", `{"now":"`+text+`"}`)
		if !e.Works(t, given) {
			t.Errorf("at %s the key file does not work", text)
		}
		if published := e.JWKS(t, "/service_accounts/v1/jwk/"+emulatortest.Email("target")).IDs(); !slices.Contains(published, given.PrivateKeyID) {
			t.Errorf("at %s the key is not among the published %v", text, published)
		}
	}
}
