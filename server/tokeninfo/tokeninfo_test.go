package tokeninfo_test

import (
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/token"
)

// The endpoint does not describe a revoked token.
func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	e.CheckRevoked(t, token.Order{Kind: token.KindID, Audience: "x"}, "GET /tokeninfo?id_token=%s\n\n")
	e.CheckRevoked(t, token.Order{Kind: token.KindAccess}, "GET /tokeninfo?access_token=%s\n\n")
}
