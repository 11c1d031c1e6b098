package control

import (
	"net/http"

	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/wire"
)

// Metrics writes the measurements for Prometheus.
func (s *Server) Metrics(*http.Request) (wire.Response, error) {
	text, err := s.requests.Text()
	if err != nil {
		return wire.Response{}, err
	}
	return wire.Response{ContentType: metrics.ContentType, Body: text}, nil
}

// registerGauges adds the gauges that this package can read to the measurements.
func (s *Server) registerGauges() {
	s.requests.Gauge("world_revision", "The version of the world that is served.", func() float64 { return float64(s.worlds.Load().Revision) })
	s.requests.Gauge("waiters", "Requests that wait for a change of metadata.", func() float64 { return float64(len(s.waiters())) })
	for _, part := range s.parts {
		for _, reading := range part.Readings {
			s.requests.Gauge(reading.Name, reading.Help, reading.Value)
		}
	}
	s.requests.Gauge("event_streams", "Open streams of events.", func() float64 { return float64(s.streams.Load()) })
}
