package iamcredentials_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/emulatortest"
)

// callIAM calls a method of the IAM API for the target account.
func callIAM(t *testing.T, e *emulatortest.Emulator, bearer, method string, message any) (status int, answer map[string]string) {
	t.Helper()
	body, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	got := e.Exchange(t, "POST /v1/projects/-/serviceAccounts/"+emulatortest.Target+":"+method+"\nHost: iam.googleapis.com\n"+
		"Authorization: Bearer "+bearer+"\nContent-Type: application/json\n\n"+string(body))
	if got.Status == http.StatusOK {
		if err := json.Unmarshal([]byte(got.Body), &answer); err != nil {
			t.Fatal(err)
		}
	}
	return got.Status, answer
}

// The IAM API signs blobs with the key that IAM Credentials signs with.
func TestIAMSignBlob(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	status, blob := callIAM(t, e, "ya29.x", "signBlob", map[string]string{"bytesToSign": "aGVsbG8="})
	signature, err := base64.StdEncoding.DecodeString(blob["signature"])
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	digest := sha256.Sum256([]byte("hello"))
	published := e.JWKS(t, "/service_accounts/v1/jwk/"+emulatortest.Target)
	if err := rsa.VerifyPKCS1v15(published[blob["keyId"]], crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
}

// The IAM API's signJwt adds an expiry, and changes nothing else.
func TestIAMSignJWT(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	now := emulatortest.Noon().Unix()
	hour, late := strconv.FormatInt(now+3600, 10), strconv.FormatInt(now+12*3600+1, 10)
	for payload, want := range map[string]string{
		`{"sub": "x", "n": 9007199254740993} `: `{"sub": "x", "n": 9007199254740993,"exp":` + hour + `} `,
		`{}`:                                   `{"exp":` + hour + `}`,
		`{"a":{"exp":1}}`:                      `{"a":{"exp":1},"exp":` + hour + `}`,
		`{"exp":` + hour + `}`:                 `{"exp":` + hour + `}`,
		`{"exp":` + late + `}`:                 "",
		`{"exp":null}`:                         "",
		`{"exp":1}`:                            "",
		`{"sub":"x"} {}`:                       "",
		`{"sub":"x"`:                           "",
		`null`:                                 "",
		``:                                     "",
	} {
		status, answer := callIAM(t, e, "ya29.x", "signJwt", map[string]string{"payload": payload})
		if want == "" {
			if status != http.StatusBadRequest {
				t.Errorf("%s: %d, want 400", payload, status)
			}
			continue
		}
		if _, err := e.JWKS(t, "/service_accounts/v1/jwk/"+emulatortest.Target).Verify(answer["signedJwt"]); err != nil {
			t.Errorf("%s: %d, %v", payload, status, err)
			continue
		}
		signed, err := base64.RawURLEncoding.DecodeString(strings.Split(answer["signedJwt"], ".")[1])
		if diff := cmp.Diff(want, string(signed)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", payload, err, diff)
		}
	}
}

// The deprecated methods need the permissions of their successors.
func TestIAMSignaturesNeedPermission(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewStrict(t)
	bearers := e.Bearers(t)
	for method, message := range map[string]map[string]string{"signBlob": {"bytesToSign": "aGk="}, "signJwt": {"payload": "{}"}} {
		for bearer, want := range map[string]int{
			"caller": http.StatusOK, "drive": http.StatusForbidden, "bounded": http.StatusForbidden, "expired": http.StatusUnauthorized,
		} {
			if status, _ := callIAM(t, e, bearers[bearer], method, message); status != want {
				t.Errorf("%s as %s: %d, want %d", method, bearer, status, want)
			}
		}
	}
}
