package main

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// tamper returns three copies of the token, each with a changed byte: in the header, in the
// payload, in the signature.
func tamper(token string) ([]string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("a JWT has three parts, not %d", len(parts))
	}
	altered := make([]string, len(parts))
	for i, part := range parts {
		data, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return nil, err
		}
		data[len(data)/2] ^= 1
		changed := slices.Clone(parts)
		changed[i] = base64.RawURLEncoding.EncodeToString(data)
		altered[i] = strings.Join(changed, ".")
	}
	return altered, nil
}
