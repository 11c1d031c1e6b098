package mds

import (
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// The operations of the metadata server below /computeMetadata.
const (
	operationMetadata = "mds.metadata"
	operationToken    = "mds.token"
	operationIdentity = "mds.identity"
	operationGuest    = "mds.guest-attributes"
)

// Operations returns the names of the metadata server's operations below /computeMetadata.
func Operations() []string {
	return []string{operationGuest, operationIdentity, operationMetadata, operationToken}
}

// Operation returns the operation of a request below /computeMetadata, by its path.
func Operation(r *http.Request) string {
	section, rest := section(r.URL.Path)
	switch section {
	case "guest-attributes":
		return operationGuest
	case "service-accounts":
		_, rest = nextName(rest)
		switch name, below := nextName(rest); {
		case below != "":
		case name == "token":
			return operationToken
		case name == "identity":
			return operationIdentity
		}
	}
	return operationMetadata
}

// Subject returns the target instance of a metadata request. For a path below a service account
// it also returns the account's e-mail address, and for an ID token the audience.
func (s *Server) Subject(r *http.Request) wire.Subject {
	instance, ok := instanceOf(r, s.worlds.Load().State)
	if !ok {
		return wire.Subject{}
	}
	subject := wire.Subject{Instance: instance.Name}
	section, rest := section(r.URL.Path)
	if section != "service-accounts" {
		return subject
	}
	alias, _ := nextName(rest)
	subject.Account = alias
	for _, attached := range instance.ServiceAccounts {
		for _, known := range attached.Aliases {
			if known == alias {
				subject.Account = attached.Account.Email
			}
		}
	}
	if Operation(r) == operationIdentity {
		var q query
		q.parse(r.URL.RawQuery)
		subject.Audience = q.audience
	}
	return subject
}

// section returns the name after computeMetadata/v1/instance in path, and the rest of the path.
func section(path string) (name, rest string) {
	if rest, ok := strings.CutPrefix(path, "/computeMetadata/v1/instance/"); ok {
		return nextName(rest)
	}
	if !strings.Contains(path, "//") {
		return "", ""
	}
	rest = path
	for _, above := range [...]string{"computeMetadata", "v1", "instance"} {
		if name, rest = nextName(rest); name != above {
			return "", ""
		}
	}
	return nextName(rest)
}

// nextName removes the first name from path. Repeated slashes count as one.
func nextName(path string) (name, rest string) {
	name, rest, _ = strings.Cut(strings.TrimLeft(path, "/"), "/")
	return name, rest
}
