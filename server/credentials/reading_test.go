package credentials_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/credentials"
	"gcp-metadata-emulator/signer"
)

func TestReadKeyFile(t *testing.T) {
	t.Parallel()
	text, _ := file(t, "", credentials.Request{Type: credentials.ServiceAccount})
	made, key, err := credentials.ReadKeyFile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := key.JWT(map[string]any{"iss": made.ClientEmail})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := signer.Parse(signed)
	if err != nil || parsed.KeyID() != made.PrivateKeyID || made.ClientEmail == "" {
		t.Errorf("a JWT of %q has the key ID %q, want %q: %v", made.ClientEmail, parsed.KeyID(), made.PrivateKeyID, err)
	}
	for name, test := range map[string]struct {
		change map[string]any
		want   string
	}{
		"another type":    {map[string]any{"type": "authorized_user"}, `its type is "authorized_user"`},
		"no account":      {map[string]any{"client_email": ""}, `"client_email"`},
		"two lines":       {map[string]any{"client_email": "a@b.c\nHost: x"}, `"client_email"`},
		"no key":          {map[string]any{"private_key": ""}, "not PEM"},
		"half a key":      {map[string]any{"private_key": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"}, "not an RSA key"},
		"a quoted key ID": {map[string]any{"private_key_id": `a"b`}, `"private_key_id"`},
	} {
		var members map[string]any
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatal(err)
		}
		maps.Copy(members, test.change)
		changed, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := credentials.ReadKeyFile(changed); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	for _, text := range []string{"", "{", "[]", `{"type": "external_account"}`, `{"type": 1}`} {
		if _, _, err := credentials.ReadKeyFile([]byte(text)); !errors.Is(err, credentials.ErrKind) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
