package assertion_test

import (
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/assertion"
	"gcp-metadata-emulator/signer"
)

func TestAll(t *testing.T) {
	t.Parallel()
	ring := keys.NewRing("", time.Now)
	own, err := ring.System("a@b.example").Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ring.System("c@b.example").Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	account := assertion.Account{
		Email: "a@b.example", UniqueID: "100000000000000000001", Key: signer.RSA(own),
		Audience: "https://tokens.example/token", Now: time.Unix(1_700_000_000, 0),
	}
	all, err := account.All(signer.RSA(other))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for name, text := range all {
		if known, twice := texts[text]; twice {
			t.Errorf("%q and %q are the same assertion", known, name)
		}
		texts[text] = name
	}
	for name, want := range map[string]struct {
		claim  string
		value  any
		signed bool
	}{
		"good":        {"aud", "https://tokens.example/token", true},
		"aud-absent":  {"aud", nil, true},
		"iss-unknown": {"iss", "nobody@b.example", true},
		"unique-id":   {"iss", "100000000000000000001", true},
		"other-key":   {"iss", "a@b.example", false},
		"alg-none":    {"iss", "a@b.example", false},
	} {
		parsed, err := signer.Parse(all[name])
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got := parsed.Claims[want.claim]; got != want.value {
			t.Errorf("%q has %s %v, want %v", name, want.claim, got, want.value)
		}
		if got := parsed.SignedBy(own.Public()); got != want.signed {
			t.Errorf("%q is signed by the account: %t, want %t", name, got, want.signed)
		}
	}
	for name, text := range all {
		if parsed, err := signer.Parse(text); err == nil {
			if aud, _ := parsed.Claims["aud"].(string); strings.Contains(aud, "://") && aud != account.Audience && aud != "https://token.invalid/" {
				t.Errorf("%q is good for %q", name, aud)
			}
		}
	}
	for _, name := range []string{"two-parts", "four-parts", "no-json"} {
		if _, err := signer.Parse(all[name]); err == nil {
			t.Errorf("%q is a JWT", name)
		}
	}
}
