package mds

import (
	"net/http"

	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Metadata handles a request below /computeMetadata, and waits for its answer.
func (s *Server) Metadata(r *http.Request) (wire.Response, error) {
	response, err := s.Answer(r, s.Find(r))
	for err == nil && response.Later != nil {
		response.Later.Await(r.Context())
		response, err = response.Later.Then(r)
	}
	return response, err
}

// lookUp finds the entry at a path below a root.
func lookUp(root *node, path string) (found *node, ok bool) {
	t := &tree{root: root, instance: &world.Instance{}}
	t.base, _ = root.find("computeMetadata", "v1")
	at := t.lookUp(path)
	return at.node, at.node != nil
}
