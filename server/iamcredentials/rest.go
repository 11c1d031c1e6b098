package iamcredentials

import (
	"net/http"
	"time"

	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/wire"
)

// read starts a call over HTTP. It checks the credential, the account and the query, then reads
// the message with its own fields and the fields of all methods.
func (s *Server) read(r *http.Request, method string, fields ...string) (call, googleapi.Message, error) {
	return s.readOf(r, s.api, method, append(fields, "delegates")...)
}

// readOf is read for a method of any API. The fields of the message include the account's name.
func (s *Server) readOf(r *http.Request, api guard.API, method string, fields ...string) (call, googleapi.Message, error) {
	credential, err := guard.Bearer(r, api, method)
	if err != nil {
		return call{}, googleapi.Message{}, err
	}
	c, err := s.begin(r.Context(), credential, api, method, r.PathValue("account"))
	if err != nil {
		return call{}, googleapi.Message{}, err
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return call{}, googleapi.Message{}, err
	}
	message, err := googleapi.ReadMessage(r, append(fields, "name")...)
	return c, message, err
}

type accessTokenResponse struct {
	AccessToken string `json:"accessToken"`
	ExpireTime  string `json:"expireTime"` // RFC 3339 in whole seconds: some clients cannot read fractions
}

// GenerateAccessToken issues an access token for a service account.
func (s *Server) GenerateAccessToken(r *http.Request) (wire.Response, error) {
	c, message, err := s.read(r, "GenerateAccessToken", "scope", "lifetime", "type")
	if err != nil {
		return wire.Response{}, err
	}
	fields := googleapi.Fields{Message: message}
	request := accessTokenRequest{
		delegates:   fields.Texts("delegates"),
		scopes:      fields.Texts("scope"),
		hasLifetime: message.Has("lifetime"),
		lifetime:    fields.Duration("lifetime"),
	}
	if fields.Err != nil {
		return wire.Response{}, fields.Err
	}
	issued, err := s.generateAccessToken(r.Context(), c, request)
	if err != nil {
		return wire.Response{}, err
	}
	response := googleapi.Reply(r, accessTokenResponse{
		AccessToken: issued.Text,
		ExpireTime:  issued.Expires.UTC().Format(time.RFC3339),
	})
	response.Defective = issued.IsDefective()
	return response, nil
}

type idTokenResponse struct {
	Token string `json:"token"`
}

// GenerateIDToken issues an ID token for a service account.
func (s *Server) GenerateIDToken(r *http.Request) (wire.Response, error) {
	c, message, err := s.read(r, "GenerateIdToken", "audience", "include_email", "organization_number_included", "use_email_azp")
	if err != nil {
		return wire.Response{}, err
	}
	fields := googleapi.Fields{Message: message}
	request := idTokenRequest{
		delegates:           fields.Texts("delegates"),
		audience:            fields.Text("audience"),
		includeEmail:        fields.Bool("include_email"),
		includeOrganization: fields.Bool("organization_number_included"),
		emailAsParty:        fields.Bool("use_email_azp"),
	}
	if fields.Err != nil {
		return wire.Response{}, fields.Err
	}
	issued, err := s.generateIDToken(r.Context(), c, request)
	if err != nil {
		return wire.Response{}, err
	}
	response := googleapi.Reply(r, idTokenResponse{Token: issued.Text})
	response.Defective = issued.IsDefective()
	return response, nil
}

type signBlobResponse struct {
	KeyID      string `json:"keyId"`
	SignedBlob []byte `json:"signedBlob"` // standard base64
}

// SignBlob signs bytes with the account's system-managed key.
func (s *Server) SignBlob(r *http.Request) (wire.Response, error) {
	c, message, err := s.read(r, "SignBlob", "payload")
	if err != nil {
		return wire.Response{}, err
	}
	fields := googleapi.Fields{Message: message}
	delegates, payload := fields.Texts("delegates"), fields.Bytes("payload")
	if fields.Err != nil {
		return wire.Response{}, fields.Err
	}
	keyID, signature, err := s.signBlob(r.Context(), c, delegates, payload)
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, signBlobResponse{KeyID: keyID, SignedBlob: signature}), nil
}

type signJWTResponse struct {
	KeyID     string `json:"keyId"`
	SignedJWT string `json:"signedJwt"`
}

// SignJWT signs the exact payload of a JWT with the account's system-managed key.
func (s *Server) SignJWT(r *http.Request) (wire.Response, error) {
	c, message, err := s.read(r, "SignJwt", "payload")
	if err != nil {
		return wire.Response{}, err
	}
	fields := googleapi.Fields{Message: message}
	delegates, payload := fields.Texts("delegates"), fields.Text("payload")
	if fields.Err != nil {
		return wire.Response{}, fields.Err
	}
	keyID, signed, err := s.signJWT(r.Context(), c, delegates, payload)
	if err != nil {
		return wire.Response{}, err
	}
	response := googleapi.Reply(r, signJWTResponse{KeyID: keyID, SignedJWT: signed.Text})
	response.Defective = signed.IsDefective()
	return response, nil
}

// allowedLocations lists the regions in which credentials may be used.
type allowedLocations struct {
	Locations        []string `json:"locations"`
	EncodedLocations string   `json:"encodedLocations"`
}

// everywhere is the encoding that client libraries interpret as no restriction.
const everywhere = "0x0"

// AllowedLocations answers that the credentials of a service account are valid everywhere.
func (s *Server) AllowedLocations(r *http.Request) (wire.Response, error) {
	credential, err := guard.Bearer(r, s.api, "GetAllowedLocations")
	if err != nil {
		return wire.Response{}, err
	}
	if _, err := s.begin(r.Context(), credential, s.api, "GetAllowedLocations", r.PathValue("account")); err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, allowedLocations{[]string{}, everywhere}), nil
}

// AllowedLocationsOfPool is AllowedLocations for the principals of an identity pool.
func (s *Server) AllowedLocationsOfPool(r *http.Request) (wire.Response, error) {
	if _, err := s.guard.Caller(r, s.api, "GetAllowedLocations"); err != nil {
		return wire.Response{}, err
	}
	return googleapi.Reply(r, allowedLocations{[]string{}, everywhere}), nil
}
