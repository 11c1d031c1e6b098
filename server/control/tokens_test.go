package control_test

import (
	"encoding/json"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/emulatortest"
)

// Numbers in claims keep all their digits.
func TestClaimsAreExact(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const order = `{"kind": "id", "audience": "x", "claims": {"exact": 9007199254740993, "deep": {"one": 1.10}}}`
	var minted struct {
		Token string `json:"token"`
	}
	if got := e.Exchange(t, "POST /emulator/v1/tokens\n\n"+order); json.Unmarshal([]byte(got.Body), &minted) != nil {
		t.Fatalf("%+v", got)
	}
	got := e.Exchange(t, "POST /emulator/v1/tokens:verify\n\n"+`{"token": "`+minted.Token+`"}`)
	for _, want := range []string{`"exact": 9007199254740993`, `"one": 1.10`} {
		if !strings.Contains(got.Body, want) {
			t.Errorf("%s is not in %s", want, got.Body)
		}
	}
}
