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

// Workload returns the instance that a request for metadata would be for, if it came as r did. It does
// not wait for a pod that has not been seen yet.
func (s *Server) Workload(r *http.Request) workloads.Choice {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	return s.choose(r.WithContext(ctx), s.worlds.Load().State)
}

// IsOfInstance reports whether an instance sent a request: it came in at the address of an instance or
// from one of its addresses, or the entrance found the instance's name in its Host. It waits a while for a
// pod that has not been seen yet, as metadata does: a new pod may call a service before the news of the pod.
func (s *Server) IsOfInstance(r *http.Request) bool {
	choice := s.chooser.Choose(r.Context(), s.worlds.Load().State, workloads.Request{Peer: r.RemoteAddr})
	return choice.Instance != nil && choice.Rule != workloads.ByDefault
}
