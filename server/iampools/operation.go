package iampools

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"gcp-metadata-emulator/server/wire"
)

// operation is a google.longrunning.Operation. Every operation is done when its name is known.
type operation struct {
	Name     string   `json:"name"`
	Metadata metadata `json:"metadata"`
	Done     bool     `json:"done"`
	Response any      `json:"response"`
}

// metadata names the type of an operation's metadata, which is empty at Google.
type metadata struct {
	Type string `json:"@type"`
}

// done answers a request with the operation that has made a resource as it is now.
func (s *Server) done(r *http.Request, name, kind string, resource any, err error) (wire.Response, error) {
	if err != nil {
		return wire.Response{}, err
	}
	const types = "type.googleapis.com/google.iam.v1."
	made := operation{
		Name:     name + "/operations/" + strings.ReplaceAll(uuid.NewString(), "-", ""),
		Metadata: metadata{types + kind + "OperationMetadata"},
		Done:     true,
		Response: resource,
	}
	s.operations.Add(made.Name, made)
	return reply(r, made, nil)
}

// PoolOperation handles workloadIdentityPools.operations.get.
func (s *Server) PoolOperation(r *http.Request) (wire.Response, error) {
	return s.operation(r, ofPools("GetOperation", "get"), s.poolName(r))
}

// ProviderOperation handles workloadIdentityPools.providers.operations.get.
func (s *Server) ProviderOperation(r *http.Request) (wire.Response, error) {
	return s.operation(r, ofProviders("GetOperation", "get"), s.providerName(r, r.PathValue("provider")))
}

func (s *Server) operation(r *http.Request, m method, resource string) (wire.Response, error) {
	if err := s.begin(r, m); err != nil {
		return wire.Response{}, err
	}
	made, ok := s.operations.Get(resource + "/operations/" + r.PathValue("operation"))
	if !ok {
		return wire.Response{}, notFound()
	}
	return reply(r, made, nil)
}
