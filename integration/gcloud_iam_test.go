package integration_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// gcloud manages workload identity pools, their providers and custom roles.
func TestGcloudIAM(t *testing.T) {
	r := newGcloudRig(t)
	const want = "made-oidc\thttps://token.example.com\tc\tACTIVE\n" +
		"made-pool\tMade\tDELETED\n" +
		"made\tiam.serviceAccounts.signBlob;iam.serviceAccounts.signJwt\n" +
		"made\tTrue\n"
	if diff := cmp.Diff(want, string(r.exec(t, "sh", "clients/gcloud/iam.sh"))); diff != "" {
		t.Errorf("gcloud said (-want +got):\n%s", diff)
	}
}
