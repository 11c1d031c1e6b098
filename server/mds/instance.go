package mds

import (
	"context"
	"net/http"

	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// choose returns the instance that a request is for.
func (s *Server) choose(r *http.Request, w *world.World) workloads.Choice {
	return s.chooser.Choose(r.Context(), w, workloads.Request{Host: r.Host, Peer: r.RemoteAddr})
}

// Workload returns the instance for a request for metadata that came as r did. If its pod has not been seen
// yet, Workload does not wait.
func (s *Server) Workload(r *http.Request) workloads.Choice {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	return s.choose(r.WithContext(ctx), s.worlds.Load().State)
}

// IsOfInstance reports whether an instance sent a request: it came in at the address of an instance or from
// an address of an instance, or the entrance found the instance's name in its Host. It waits a while for an
// unseen pod, as metadata does: a new pod may call a service before the news of the pod.
func (s *Server) IsOfInstance(r *http.Request) bool {
	choice := s.chooser.Choose(r.Context(), s.worlds.Load().State, workloads.Request{Peer: r.RemoteAddr})
	return choice.Instance != nil && choice.Rule != workloads.ByDefault
}
