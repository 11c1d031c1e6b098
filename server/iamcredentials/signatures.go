package iamcredentials

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/token"
)

// maxJWTLifetime limits the exp claim of a JWT, counted from now.
const maxJWTLifetime = 12 * time.Hour

// signBlob signs bytes with the account's system-managed key, and returns the key's ID too.
func (s *Server) signBlob(ctx context.Context, c call, delegates []string, payload []byte) (keyID string, signature []byte, err error) {
	if err := s.permit(c, delegates, iam.SignBlob); err != nil {
		return "", nil, err
	}
	key, err := s.systemKey(ctx, c)
	if err != nil {
		return "", nil, err
	}
	signature, err = s.issuer.SignBlob(key, payload)
	return key.ID(), signature, err
}

// signJWT signs the exact payload of a JWT with the account's system-managed key.
func (s *Server) signJWT(ctx context.Context, c call, delegates []string, payload string) (keyID string, signed token.Token, err error) {
	if err := s.permit(c, delegates, iam.SignJWT); err != nil {
		return "", token.Token{}, err
	}
	if err := checkPayload(payload, s.now()); err != nil {
		return "", token.Token{}, err
	}
	key, err := s.systemKey(ctx, c)
	if err != nil {
		return "", token.Token{}, err
	}
	signed, err = s.issuer.Sign(ctx, key, []byte(payload))
	return key.ID(), signed, err
}

func (s *Server) systemKey(ctx context.Context, c call) (*keys.Key, error) {
	key, err := s.keys.System(c.account.Email).Active(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the key of %q: %w", c.account.Email, err)
	}
	return key, nil
}

// checkPayload accepts a JSON object. Its exp claim, if any, must be a whole number that is not
// in the past and at most 12 hours ahead. The texts of Google's errors are unknown; these are
// the emulator's own.
func checkPayload(payload string, now time.Time) error {
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader([]byte(payload)))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil || claims == nil || !json.Valid([]byte(payload)) {
		return googleapi.InvalidArgument("The payload must be a JSON object with the claims of the JWT.")
	}
	claim, ok := claims["exp"]
	if !ok {
		return nil
	}
	number, _ := claim.(json.Number)
	expires, err := number.Int64()
	switch {
	case err != nil:
		return googleapi.InvalidArgument("The exp claim of the payload must be an integer, in seconds since 1970-01-01.")
	case expires < now.Unix():
		return googleapi.InvalidArgument("The exp claim of the payload is in the past.")
	case expires > now.Add(maxJWTLifetime).Unix():
		return googleapi.InvalidArgument("The exp claim of the payload is more than 12 hours ahead.")
	default:
		return nil
	}
}
