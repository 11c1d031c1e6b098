package integration_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goIAM holds the results of the methods of the IAM Credentials API.
type goIAM struct {
	AccessToken accessToken
	IDToken     string
	Validation  goValidation
	Blob        struct {
		KeyID              string
		Payload, Signature []byte
	}
	JWT     struct{ KeyID, Payload, Token string }
	Unknown struct {
		HTTPCode        int
		GRPCCode, Error string
	}
}

func TestGoIAMCredentials(t *testing.T) {
	r := newRig(t)
	for transport, unknown := range map[string]struct {
		httpCode int
		grpcCode string
	}{"rest": {404, "NotFound"}, "grpc": {-1, "NotFound"}} {
		t.Run(transport, func(t *testing.T) {
			got := report[goIAM](t, r.exec(t, r.stage.GoCloud, "iam", transport, targetAccount, audience))
			r.checkGoIAM(t, got)
			if got.Unknown.HTTPCode != unknown.httpCode || transport == "grpc" && got.Unknown.GRPCCode != unknown.grpcCode ||
				!strings.Contains(got.Unknown.Error, "Gaia id not found for email nobody@demo-project.iam.gserviceaccount.com") {
				t.Errorf("an account that does not exist: %+v, want Google's answer", got.Unknown)
			}
		})
	}
}

// Through a proxy, gRPC uses CONNECT and TLS to reach the host that is compiled into the library.
func TestGoIAMCredentialsByProxy(t *testing.T) {
	r := newRig(t)
	got := report[goIAM](t, r.execWith(t, byProxy(), r.stage.GoCloud, "iam", "proxied", targetAccount, audience))
	r.checkGoIAM(t, got)
	if got.Unknown.HTTPCode != -1 || got.Unknown.GRPCCode != "NotFound" {
		t.Errorf("an account that does not exist: %+v, want Google's answer in gRPC", got.Unknown)
	}
}

func (r *rig) checkGoIAM(t *testing.T, got goIAM) {
	t.Helper()
	r.checkAccessToken(t, got.AccessToken.Value, targetAccount)
	checkExpiry(t, "generateAccessToken", got.AccessToken.Expiry)

	claims := r.claims(t, targetAccount, emailClaims(targetAccount))
	r.checkIDToken(t, "generateIdToken", got.IDToken, claims)
	checkGoValidation(t, got.Validation, claims)

	certificates := r.certificates(t, "/service_accounts/v1/metadata/x509/"+targetAccount)
	if key, ok := certificates[got.Blob.KeyID]; !ok {
		t.Errorf("signBlob: no certificate for %q is published", got.Blob.KeyID)
	} else if err := verifySignature(key, got.Blob.Payload, got.Blob.Signature); err != nil {
		t.Errorf("signBlob: %v", err)
	}

	var want map[string]any
	decoder := json.NewDecoder(strings.NewReader(got.JWT.Payload))
	decoder.UseNumber()
	if err := decoder.Decode(&want); err != nil {
		t.Fatal(err)
	}
	for form, keys := range map[string]keyring{"x509": certificates, "jwk": r.jwks(t, "/service_accounts/v1/jwk/"+targetAccount)} {
		signed, err := keys.verify(got.JWT.Token)
		if err != nil {
			t.Errorf("signJwt: %s: %v", form, err)
		}
		if diff := cmp.Diff(want, signed); diff != "" {
			t.Errorf("signJwt: %s: claims (-want +got):\n%s", form, diff)
		}
		if keys[got.JWT.KeyID] == nil {
			t.Errorf("signJwt: %s: no key %q is published", form, got.JWT.KeyID)
		}
	}
}

// TestGoSignedURL checks a V4 signature as Cloud Storage does
// (https://cloud.google.com/storage/docs/authentication/canonical-requests).
func TestGoSignedURL(t *testing.T) {
	r := newRig(t)
	signed, err := url.Parse(report[string](t, r.exec(t, r.stage.GoCloud, "signedurl", workerAccount)))
	if err != nil {
		t.Fatal(err)
	}
	query := signed.Query()
	signature, err := hex.DecodeString(query.Get("X-Goog-Signature"))
	if err != nil {
		t.Fatal(err)
	}
	account, scope, _ := strings.Cut(query.Get("X-Goog-Credential"), "/")
	if account != workerAccount || query.Get("X-Goog-Algorithm") != "GOOG4-RSA-SHA256" {
		t.Errorf("signed by %q with %q", account, query.Get("X-Goog-Algorithm"))
	}
	query.Del("X-Goog-Signature")
	canonical := strings.Join([]string{
		"GET", signed.EscapedPath(), strings.ReplaceAll(query.Encode(), "+", "%20"), "host:" + signed.Host, "", "host", "UNSIGNED-PAYLOAD",
	}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	message := strings.Join([]string{"GOOG4-RSA-SHA256", query.Get("X-Goog-Date"), scope, hex.EncodeToString(sum[:])}, "\n")
	for _, key := range r.certificates(t, "/service_accounts/v1/metadata/x509/"+workerAccount) {
		if verifySignature(key, []byte(message), signature) == nil {
			return
		}
	}
	t.Errorf("no key of %s signed %s", workerAccount, signed)
}

// TestGoPackages runs Go packages that have Google's addresses compiled in, under enforced
// policies.
func TestGoPackages(t *testing.T) {
	r := newRig(t)
	got := report[struct {
		Impersonated, APIImpersonated accessToken
		IDToken, Audience, Federated  string
	}](t, r.execWith(t, append(byProxy(), "--strict"), r.stage.GoCloud, "packages", targetAccount, audience))
	r.checkAccessToken(t, got.Impersonated.Value, targetAccount)
	r.checkAccessToken(t, got.APIImpersonated.Value, targetAccount)
	r.checkIDToken(t, "impersonate", got.IDToken, r.claims(t, targetAccount, emailClaims(targetAccount)))
	if got.Audience != audience {
		t.Errorf("the validator saw audience %q", got.Audience)
	}
	if !strings.HasPrefix(got.Federated, "ya29.d.") {
		t.Errorf("a federated token is %.10s…", got.Federated)
	}
}
