package tokeninfo

import (
	"net/http"

	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/signer"
)

// Subject returns the account of an access token, or the e-mail address and audience of an ID
// token. An ID token has not been verified.
func (s *Server) Subject(r *http.Request) wire.Subject {
	access, id, err := tokens(r)
	if err != nil {
		return wire.Subject{}
	}
	if access != "" {
		known, _ := s.issuer.Recognise(access)
		return wire.Subject{Account: known.Principal.Email}
	}
	parsed, err := signer.Parse(id)
	if err != nil {
		return wire.Subject{}
	}
	var subject wire.Subject
	subject.Account, _ = parsed.Claims["email"].(string)
	subject.Audience, _ = parsed.Claims["aud"].(string)
	return subject
}
