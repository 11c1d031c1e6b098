package mds

import (
	"net/http"

	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Metadata handles a request below /computeMetadata.
func (s *Server) Metadata(r *http.Request) (wire.Response, error) { return s.Answer(r, s.Find(r)) }

// lookUp finds the entry at a path below a root.
func lookUp(root *node, path string) (found *node, ok bool) {
	t := &tree{root: root, instance: &world.Instance{}}
	t.base, _ = root.find("computeMetadata", "v1")
	at := t.lookUp(path)
	return at.node, at.node != nil
}
