package sts_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/sts"
)

const (
	awsType = "urn:ietf:params:aws:token-type:aws4_request"
	amazon  = "//iam.googleapis.com/" + pool + "/providers/amazon"
)

// signedRequest returns a request for GetCallerIdentity that an access key has signed for an
// audience.
func signedRequest(t *testing.T, keyID, audience string, at time.Time) string {
	t.Helper()
	const address = "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Goog-Cloud-Target-Resource", audience)
	empty := sha256.Sum256(nil)
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: "hush"}, request,
		hex.EncodeToString(empty[:]), "sts", "eu-west-1", at)
	if err != nil {
		t.Fatal(err)
	}
	headers := []map[string]string{{"key": "host", "value": request.Host}}
	for name, values := range request.Header {
		headers = append(headers, map[string]string{"key": name, "value": values[0]})
	}
	text, err := json.Marshal(map[string]any{"url": address, "method": http.MethodPost, "headers": headers})
	if err != nil {
		t.Fatal(err)
	}
	return url.QueryEscape(string(text))
}

func awsForm(subject, audience string) url.Values {
	return exchangeForm(subject, url.Values{"audience": {audience}, "subject_token_type": {awsType}})
}

func TestAWSPrincipals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, test := range map[string]struct {
		keyID, audience string
		want            iam.Principal
	}{
		"a role": {"AKIAROLE", amazon, iam.Principal{
			ID:         "arn:aws:sts::123456789012:assumed-role/worker/session",
			Attributes: map[string]string{"aws_role": "arn:aws:sts::123456789012:assumed-role/worker"},
		}},
		"a user": {"AKIAUSER", amazon, iam.Principal{
			ID: "arn:aws:iam::123456789012:user/dev", Attributes: map[string]string{"aws_role": "arn:aws:iam::123456789012:user/dev"},
		}},
		"a mapping": {"AKIAUSER", amazon + "-maps", iam.Principal{ID: "123456789012/AKIAUSER"}},
	} {
		test.want.Kind, test.want.Pool = iam.KindFederated, pool
		form := awsForm(signedRequest(t, test.keyID, test.audience, r.now), test.audience)
		r.granted(t, r.exchange(form))
		access, fields := r.granted(t, r.exchange(form)) // a request can be used again
		if diff := cmp.Diff(test.want, access.Principal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(map[string]any{"issued_token_type": accessType, "token_type": "Bearer", "expires_in": 3599.0}, fields); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAWSRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := signedRequest(t, "AKIAROLE", amazon, r.now)
	for name, test := range map[string]struct{ subject, code, description string }{
		"another audience": {signedRequest(t, "AKIAROLE", amazon+"-maps", r.now), "invalid_grant", "The x-goog-cloud-target-resource header of the AWS request does not match the audience."},
		"an old request":   {signedRequest(t, "AKIAROLE", amazon, r.now.Add(-time.Hour)), "invalid_grant", "The AWS request is expired."},
		"another account":  {signedRequest(t, "AKIAEVE", amazon, r.now), "invalid_grant", "The AWS account does not match the one of the identity provider."},
		"an unknown key":   {signedRequest(t, "AKIANOBODY", amazon, r.now), "invalid_grant", "Unable to verify the AWS request signature."},
		"another region":   {strings.ReplaceAll(good, "sts.eu-west-1", "sts.eu-west-2"), "invalid_grant", `Invalid format of AWS credentials: the request is malformed: host "sts.eu-west-2.amazonaws.com" is not the Security Token Service of region "eu-west-1".`},
		"a JWT":            {r.subject(t, nil), "invalid_grant", "Invalid format of AWS credentials: the request is malformed: invalid character 'e' looking for beginning of value."},
	} {
		if diff := cmp.Diff(answer{http.StatusBadRequest, failure(test.code, test.description)}, r.exchange(awsForm(test.subject, amazon)), cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	role := awsForm(signedRequest(t, "AKIAROLE", amazon, r.now), amazon)
	role.Set("audience", amazon+"-maps")
	role.Set("subject_token", signedRequest(t, "AKIAROLE", amazon+"-maps", r.now))
	if got := r.exchange(role); got.status != http.StatusBadRequest {
		t.Errorf("a key of another provider is answered with %d %s", got.status, got.body)
	}
}

// The people who run the emulator get the reason for which a request is refused.
func TestAWSReasons(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	form := awsForm(signedRequest(t, "AKIANOBODY", amazon, r.now), amazon)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/token", strings.NewReader(form.Encode()))
	const want = `the access key is not in the fixture: "AKIANOBODY"`
	if why := sts.Dialect().Answer(slog.New(slog.DiscardHandler), r.Token)(request).Refusal; why == nil || why.Reason != want {
		t.Errorf("the reason is %+v, want %q", why, want)
	}
}
