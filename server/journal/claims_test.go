package journal_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"gcp-metadata-emulator/server/journal"
)

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestClaims(t *testing.T) {
	token := segment(`{"alg":"RS256"}`) + "." + segment(`{"aud":"a","n":12345678901234567890}`) + ".c2lnbmF0dXJl"
	nested := segment(`{"alg":"RS256"}`) + "." + segment(`{"inner":"`+token+`","x":"ya29.c.secret"}`) + ".c2ln"
	for text, want := range map[string]string{
		token:             `{"aud":"a","n":12345678901234567890}`,
		"Bearer " + token: `{"aud":"a","n":12345678901234567890}`,
		`{"access_token":"ya29.c.x","id_token":"` + token + `"}`: `{"aud":"a","n":12345678901234567890}`,
		nested:                   `{"inner":"REDACTED","x":"REDACTED"}`,
		"eyJ " + token:           `{"aud":"a","n":12345678901234567890}`,
		"Bearer ya29.c.abc":      "",
		"eyJhbGciOiJub25lIn0":    "",
		"eyJhbGciOiJub25lIn0.a":  "",
		"eyJhbGciOiJub25lIn0..":  "",
		"eyJhbGciOiJub25lIn0.!.": "",
		"":                       "",
		"eyJhbGciOiJub25lIn0." + segment(`["no object"]`) + ".": "null",
		"eyJhbGciOiJub25lIn0.abc~.":                             "null",
	} {
		claims := journal.ClaimsIn(text)
		if claims == "" && want == "" {
			continue
		}
		got, err := json.Marshal(claims)
		if err != nil || string(got) != want {
			t.Errorf("ClaimsIn(%q) = %s, %v, want %s", text, got, err, want)
			continue
		}
		var again journal.Claims
		if err := json.Unmarshal(got, &again); err != nil {
			t.Error(err)
		} else if twice, err := json.Marshal(again); want != "null" && (err != nil || string(twice) != want) {
			t.Errorf("read again: %s, %v", twice, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { journal.ClaimsIn(token) }); n > 0 {
		t.Errorf("a token alone costs %v allocations", n)
	}
}
