package iamcredentials

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/signer"
)

// maxJWTLifetime is how far ahead the exp claim of a JWT may be.
const maxJWTLifetime = 12 * time.Hour

type signBlobResponse struct {
	KeyID      string `json:"keyId"`
	SignedBlob []byte `json:"signedBlob"` // standard base64
}

// SignBlob signs bytes with the account's system-managed key.
func (s *Server) SignBlob(r *http.Request) (wire.Response, error) {
	account, err := s.authorised(r, "SignBlob")
	if err != nil {
		return wire.Response{}, err
	}
	message, err := s.read(r, "payload")
	if err != nil {
		return wire.Response{}, err
	}
	payload, err := message.Bytes("payload")
	if err != nil {
		return wire.Response{}, err
	}
	key, err := s.keys.System(account.Email).Active(r.Context())
	if err != nil {
		return wire.Response{}, fmt.Errorf("make the key of %q: %w", account.Email, err)
	}
	signature, err := signer.Blob(key, payload)
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(signBlobResponse{KeyID: key.ID(), SignedBlob: signature}), nil
}

type signJWTResponse struct {
	KeyID     string `json:"keyId"`
	SignedJWT string `json:"signedJwt"`
}

// SignJWT signs a JWT payload, as it is given, with the account's system-managed key.
func (s *Server) SignJWT(r *http.Request) (wire.Response, error) {
	account, err := s.authorised(r, "SignJwt")
	if err != nil {
		return wire.Response{}, err
	}
	message, err := s.read(r, "payload")
	if err != nil {
		return wire.Response{}, err
	}
	payload, err := message.Text("payload")
	if err != nil {
		return wire.Response{}, err
	}
	if err := checkPayload(payload, s.now()); err != nil {
		return wire.Response{}, err
	}
	key, err := s.keys.System(account.Email).Active(r.Context())
	if err != nil {
		return wire.Response{}, fmt.Errorf("make the key of %q: %w", account.Email, err)
	}
	signed, err := signer.RawJWT(key, []byte(payload))
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(signJWTResponse{KeyID: key.ID(), SignedJWT: signed}), nil
}

// checkPayload accepts a JSON object whose exp, where it has one, is a whole number, not
// in the past and at most 12 hours ahead. What Google's server says otherwise is not
// recorded; these words are ours.
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
