package iamcredentials

import (
	"encoding/json"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// Subject returns the account in the request's path and, for generateIdToken, the audience.
func (s *Server) Subject(r *http.Request) wire.Subject {
	subject := s.subject(r.PathValue("account"))
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

// CallSubject returns the subject of a gRPC call from its request message.
func (s *Server) CallSubject(message any) wire.Subject {
	var subject wire.Subject
	if named, ok := message.(interface{ GetName() string }); ok {
		subject = s.subject(accountID(named.GetName()))
	}
	if request, ok := message.(interface{ GetAudience() string }); ok {
		subject.Audience = request.GetAudience()
	}
	return subject
}

func (s *Server) subject(id string) wire.Subject {
	return wire.Subject{Account: s.worlds.Load().State.EmailOf(id)}
}
