package control

import (
	"net/http"

	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/wire"
)

// Metrics writes counts for Prometheus.
func (s *Server) Metrics(*http.Request) (wire.Response, error) {
	const prefix = "gcp_metadata_emulator_"
	families := append(s.requests.Families(),
		metrics.Single(prefix+"world_revision", "The version of the world that is served.", metrics.Gauge, float64(s.worlds.Load().Revision)),
		metrics.Single(prefix+"waiters", "Requests that wait for a change of metadata.", metrics.Gauge, float64(len(s.waiters()))),
		metrics.Single(prefix+"event_streams", "Open streams of events.", metrics.Gauge, float64(s.streams.Load())),
	)
	return wire.Response{ContentType: "text/plain; version=0.0.4; charset=utf-8", Body: metrics.Text(families)}, nil
}
