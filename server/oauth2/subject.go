package oauth2

import (
	"net/http"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/signer"
)

// Subject returns the account that issued the request's assertion, and the assertion's audience for
// an ID token. The assertion has not been verified.
func (s *Server) Subject(r *http.Request) wire.Subject {
	form, err := oauthapi.ReadForm(r)
	if err != nil {
		return wire.Subject{}
	}
	parsed, err := signer.ParseAssertion(form.Get("assertion"))
	if err != nil {
		return wire.Subject{}
	}
	var subject wire.Subject
	subject.Account, _ = parsed.Claims["iss"].(string)
	subject.Audience, _ = parsed.Claims["target_audience"].(string)
	subject.Account = s.worlds.Load().State.EmailOf(subject.Account)
	return subject
}
