package oauthapi_test

import (
	"testing"

	"gcp-metadata-emulator/server/oauthapi"
)

func TestBearerOf(t *testing.T) {
	t.Parallel()
	for authorization, want := range map[string]string{
		"Bearer ya29.x":    "ya29.x",
		"bearer ya29.x":    "ya29.x",
		"BEARER   ya29.x ": "ya29.x",
		"Bearer":           "",
		"Bearer   ":        "",
		"Basic ya29.x":     "",
		"ya29.x":           "",
		"Bearerya29.x":     "",
		"":                 "",
	} {
		token, ok := oauthapi.BearerOf(authorization)
		if ok != (want != "") || ok && token != want {
			t.Errorf("BearerOf(%q) = %q, %v, want %q", authorization, token, ok, want)
		}
	}
}
