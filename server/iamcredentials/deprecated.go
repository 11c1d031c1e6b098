package iamcredentials

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/wire"
)

// The IAM API's own signBlob and signJwt are deprecated in favour of the IAM Service Account
// Credentials API (https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts/signBlob),
// but released libraries still call them. They have no delegates, and other names of fields.

type iamSignBlobResponse struct {
	KeyID     string `json:"keyId"`
	Signature []byte `json:"signature"` // standard base64
}

// IAMSignBlob is the IAM API's method SignBlob.
func (s *Server) IAMSignBlob(r *http.Request) (wire.Response, error) {
	c, message, err := s.readOf(r, guard.IAM(), "SignBlob", "bytes_to_sign")
	if err != nil {
		return wire.Response{}, err
	}
	payload, err := message.Bytes("bytes_to_sign")
	if err != nil {
		return wire.Response{}, err
	}
	keyID, signature, err := s.signBlob(r.Context(), c, nil, payload)
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, iamSignBlobResponse{KeyID: keyID, Signature: signature}), nil
}

// IAMSignJWT is the IAM API's method SignJwt. It adds the claim exp to a payload without it.
func (s *Server) IAMSignJWT(r *http.Request) (wire.Response, error) {
	c, message, err := s.readOf(r, guard.IAM(), "SignJwt", "payload")
	if err != nil {
		return wire.Response{}, err
	}
	payload, err := message.Text("payload")
	if err != nil {
		return wire.Response{}, err
	}
	keyID, signed, err := s.signJWT(r.Context(), c, nil, s.withExpiry(payload))
	if err != nil {
		return wire.Response{}, err
	}
	response := googleapi.Reply(r, signJWTResponse{KeyID: keyID, SignedJWT: signed.Text})
	response.Defective = signed.IsDefective()
	return response, nil
}

// withExpiry returns the payload of a JWT. If the payload has no claim exp, it adds one an hour
// ahead. It keeps every other byte.
func (s *Server) withExpiry(payload string) string {
	var claims map[string]json.RawMessage
	if json.Unmarshal([]byte(payload), &claims) != nil || claims == nil || claims["exp"] != nil {
		return payload
	}
	separator := ""
	if len(claims) > 0 {
		separator = ","
	}
	end := strings.LastIndexByte(payload, '}')
	return fmt.Sprintf(`%s%s"exp":%d%s`, payload[:end], separator, s.now().Add(time.Hour).Unix(), payload[end:])
}
