package sts_test

import (
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
)

// A revoked subject token of the emulator's own is refused.
func TestRevokedSubjectToken(t *testing.T) {
	t.Parallel()
	const provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/demo-pool/providers/demo-provider"
	emulatortest.New(t).CheckRevoked(t, token.Order{Kind: token.KindID, Audience: provider},
		"POST /v1/token\nContent-Type: application/x-www-form-urlencoded\n\n"+
			"grant_type=urn:ietf:params:oauth:grant-type:token-exchange&audience="+provider+"&scope="+emulatortest.Platform+
			"&requested_token_type="+accessType+"&subject_token_type="+jwtType+"&subject_token=%s")
}
