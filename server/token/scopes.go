package token

import (
	"errors"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// scopePrefix is the beginning of most of Google's scopes.
const scopePrefix = "https://www.googleapis.com/auth/"

// frequentScopes are encoded as their index, which takes one byte. Tokens in use contain the
// indexes. Scopes may therefore be added at the end, up to 24, but not moved or removed.
func frequentScopes() []string {
	return []string{
		"openid",
		scopePrefix + "userinfo.email",
		scopePrefix + "userinfo.profile",
		scopePrefix + "cloud-platform",
		scopePrefix + "cloud-platform.read-only",
		scopePrefix + "appengine.admin",
		scopePrefix + "sqlservice.login",
		scopePrefix + "compute",
		scopePrefix + "accounts.reauth",
		scopePrefix + "devstorage.read_only",
		scopePrefix + "devstorage.read_write",
		scopePrefix + "devstorage.full_control",
		scopePrefix + "logging.write",
		scopePrefix + "monitoring.write",
		scopePrefix + "trace.append",
		scopePrefix + "service.management.readonly",
		scopePrefix + "servicecontrol",
		scopePrefix + "bigquery",
		scopePrefix + "drive",
		scopePrefix + "drive.file",
		scopePrefix + "drive.readonly",
		scopePrefix + "calendar",
		scopePrefix + "gmail.readonly",
		scopePrefix + "spreadsheets",
	}
}

// Scopes is a list of OAuth 2.0 scopes with a short form in CBOR. There, a number is an index of
// frequentScopes, a byte string stands for scopePrefix and itself, and a text for itself.
type Scopes []string //nolint:recvcheck // only decoding needs a pointer, as in encoding/json

// MarshalCBOR returns the short form.
func (s Scopes) MarshalCBOR() ([]byte, error) {
	frequent := frequentScopes()
	list := make([]any, len(s))
	for i, scope := range s {
		list[i] = scope
		if number := slices.Index(frequent, scope); number >= 0 {
			list[i] = number
		} else if name, ok := strings.CutPrefix(scope, scopePrefix); ok {
			list[i] = []byte(name)
		}
	}
	return cbor.Marshal(list)
}

// UnmarshalCBOR reads the short form.
func (s *Scopes) UnmarshalCBOR(data []byte) error {
	coding, err := newCoding()
	if err != nil {
		return err
	}
	var list []any
	if err := coding.Unmarshal(data, &list); err != nil {
		return err
	}
	frequent := frequentScopes()
	*s = nil
	for _, item := range list {
		switch item := item.(type) {
		case string:
			*s = append(*s, item)
		case []byte:
			*s = append(*s, scopePrefix+string(item))
		case uint64:
			if item >= uint64(len(frequent)) {
				return errors.New("a scope of another version of the emulator")
			}
			*s = append(*s, frequent[item])
		default:
			return errors.New("not a scope")
		}
	}
	return nil
}
