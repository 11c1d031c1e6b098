package awsrequest_test

import (
	"testing"

	"gcp-metadata-emulator/server/sts/awsrequest"
)

// FuzzCaller checks that no subject token panics, and that none is accepted whose author does not know
// the key.
func FuzzCaller(f *testing.F) {
	const authorization = "AWS4-HMAC-SHA256 Credential=" + keyID + "/20261129/us-east-2/sts/aws4_request, SignedHeaders=host;x-amz-date;x-goog-cloud-target-resource, Signature="
	f.Add("")
	f.Add("%7B%7D")
	f.Add(`{"url":"https://sts.us-east-2.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15","method":"POST","headers":[` +
		`{"key":"host","value":"sts.us-east-2.amazonaws.com"},{"key":"x-amz-date","value":"20261129T120000Z"},` +
		`{"key":"x-goog-cloud-target-resource","value":"` + target + `"},{"key":"Authorization","value":"` + authorization + `00"}]}`)
	f.Fuzz(func(t *testing.T, subject string) {
		if key, err := awsrequest.Caller(t.Context(), subject, expectation()); err == nil {
			t.Errorf("%q is accepted as a request of %q", subject, key.ARN)
		}
	})
}
