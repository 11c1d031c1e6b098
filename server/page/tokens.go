package page

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/purpose"
	"gcp-metadata-emulator/server/token"
)

// tokens holds the data of the page of tokens.
type tokens struct {
	World   world
	Kinds   []token.Kind
	Defects []token.Defect
	Answers verdict // to the form that was sent
	Claims  decoded // of the token that was minted or verified
}

// verdict is the answer of control.tokens.mint or of control.tokens.verify.
type verdict struct {
	Minted   string // the new token; empty: none was minted
	Expires  string
	Verified map[string]any // nil: no token was verified
}

func loadTokens(v *visit) any {
	page := tokens{
		World: readWorld(v), Kinds: []token.Kind{token.KindID, token.KindAccess, token.KindJWT, token.KindFirebase, token.KindFirebaseSession},
		Defects: token.KindID.Defects(),
	}
	switch minted, isMinted := v.Result["token"].(string); {
	case isMinted:
		page.Answers.Minted = minted
		page.Answers.Expires, _ = v.Result["expires"].(string)
	case v.Result != nil:
		page.Answers.Verified = v.Result
	}
	if v.Result != nil {
		page.Claims = decode(cmp.Or(page.Answers.Minted, purpose.Clean(v.Form.Get("token"))))
	}
	return page
}

// decoded is a JSON Web Token without its signature. It is empty for other texts.
type decoded struct{ Header, Payload map[string]any }

// decode reads a token without any check.
func decode(text string) (found decoded) {
	parts := strings.Split(strings.TrimSpace(text), ".")
	for i, into := range []*map[string]any{&found.Header, &found.Payload} {
		if i >= len(parts) {
			return decoded{}
		}
		plain, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[i], "="))
		if err != nil {
			return decoded{}
		}
		decoder := json.NewDecoder(bytes.NewReader(plain))
		decoder.UseNumber()
		if err := decoder.Decode(into); err != nil {
			return decoded{}
		}
	}
	return found
}

func tokenActs() map[string]act {
	return map[string]act{"mint": {op: mint}, "verify": {op: verify}}
}

func mint(form url.Values) (Operation, error) {
	body := filled(form, "kind", "account", "audience", "lifetime", "defect", "format")
	if scopes := strings.Fields(form.Get("scopes")); len(scopes) > 0 {
		body["scopes"] = scopes
	}
	return Operation{Name: "control.tokens.mint", Body: body}, nil
}

func verify(form url.Values) (Operation, error) {
	body := filled(form, "audience", "for")
	body["token"] = strings.TrimSpace(form.Get("token"))
	return Operation{Name: "control.tokens.verify", Body: body}, nil
}

// filled returns the fields of a form that are not empty.
func filled(form url.Values, names ...string) map[string]any {
	body := map[string]any{}
	for _, name := range names {
		if value := strings.TrimSpace(form.Get(name)); value != "" {
			body[name] = value
		}
	}
	return body
}
