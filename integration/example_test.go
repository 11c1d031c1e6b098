package integration_test

import (
	"path/filepath"
	"testing"
)

// TestJWTByHand runs the example that does by hand the work of the libraries.
func TestJWTByHand(t *testing.T) {
	node := lookPath(t, "node", "the example is for Node:")
	r := newRig(t)
	keyFile := filepath.Join(t.TempDir(), "key.json")
	got := report[struct {
		Granted struct {
			AccessToken string `json:"access_token"`
			TokenType   string `json:"token_type"`
			ExpiresIn   int    `json:"expires_in"`
		}
		Info     map[string]string
		Identity struct{ Token string }
	}](t, r.execWithKeyFile(t, keyFile,
		node, "examples/jwt-by-hand/jwt-by-hand.mjs", keyFile, targetAccount, audience))

	if got.Granted.TokenType != "Bearer" || got.Granted.ExpiresIn != 3599 {
		t.Errorf("granted %s for %d seconds, want Bearer for 3599", got.Granted.TokenType, got.Granted.ExpiresIn)
	}
	r.checkAccessToken(t, got.Granted.AccessToken, workerAccount)
	if id := r.uniqueID(t, workerAccount); got.Info["azp"] != id || got.Info["scope"] != cloudPlatform {
		t.Errorf("the token is said to be %v, want azp %q", got.Info, id)
	}
	r.checkIDToken(t, "generateIdToken", got.Identity.Token, r.claims(t, targetAccount, emailClaims(targetAccount)))
}
