package journal

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Claims are the claims of a JSON Web Token, in the encoding of its second part (RFC 7519, section 3).
// Without the signature, they are not a credential.
type Claims string

// ClaimsIn returns the claims of the first JSON Web Token in a text, or "". A text that is nothing but
// the token costs no memory: the claims are a part of it.
func ClaimsIn(text string) Claims {
	for offset := 0; ; {
		at := strings.Index(text[offset:], "eyJ")
		if at < 0 {
			return ""
		}
		at += offset
		offset = at + run(text[at:], isLetterOfToken)
		_, rest, _ := strings.Cut(text[at:offset], ".")
		claims, _, isSigned := strings.Cut(rest, ".")
		switch {
		case !isSigned || claims == "":
		case at == 0 && offset == len(text):
			return Claims(claims)
		default:
			return Claims(strings.Clone(claims))
		}
	}
}

// MarshalJSON returns the claims as a JSON object without possible secrets. If the claims are not an
// object, it returns null.
func (c Claims) MarshalJSON() ([]byte, error) {
	var object map[string]json.RawMessage
	plain, err := base64.RawURLEncoding.DecodeString(string(c))
	if err != nil {
		return []byte("null"), nil //nolint:nilerr // it is not a token
	}
	if shown := []byte(Redacted(string(plain))); json.Unmarshal(shown, &object) == nil {
		return shown, nil
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads the result of MarshalJSON.
func (c *Claims) UnmarshalJSON(data []byte) error {
	*c = ""
	if string(data) != "null" {
		*c = Claims(base64.RawURLEncoding.EncodeToString(data))
	}
	return nil
}
