package iamcredentials

import (
	"encoding/json"
	"net/http"

	"gcp-metadata-emulator/server/wire"
)

// Subject returns the subject of a request: the account in its path.
func (s *Server) Subject(r *http.Request) wire.Subject {
	return s.subject(r.PathValue("account"))
}

// IDTokenSubject is Subject for generateIdToken. Its message also names an audience.
func (s *Server) IDTokenSubject(r *http.Request) wire.Subject {
	subject := s.Subject(r)
	var message struct {
		Audience string `json:"audience"`
	}
	if body, err := wire.ReadBody(r); err == nil && json.Unmarshal(body, &message) == nil {
		subject.Audience = message.Audience
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
