package iamcredentials

import (
	"encoding/json"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// Subject is what a request is about: the account in its path and, of generateIdToken, the
// audience.
func (s *Server) Subject(r *http.Request) wire.Subject {
	subject := wire.Subject{Account: r.PathValue("account")}
	if account, ok := s.worlds.Load().State.Account(subject.Account); ok {
		subject.Account = account.Email
	}
	if strings.HasSuffix(r.URL.Path, ":generateIdToken") {
		var message struct {
			Audience string `json:"audience"`
		}
		if body, err := wire.ReadBody(r); err == nil && json.Unmarshal(body, &message) == nil {
			subject.Audience = message.Audience
		}
	}
	return subject
}
