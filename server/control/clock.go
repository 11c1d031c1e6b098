package control

import (
	"net/http"
	"time"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// clockState is the emulator's time. When a client sets it, a missing field means no change.
type clockState struct {
	Now    *time.Time `json:"now"`
	Frozen *bool      `json:"frozen"`
}

func (s *Server) clockState() wire.Response {
	now, frozen := s.clock.Now().UTC(), s.clock.Frozen()
	return googleapi.JSON(clockState{&now, &frozen})
}

// Clock returns the emulator's time.
func (s *Server) Clock(*http.Request) (wire.Response, error) { return s.clockState(), nil }

// SetClock sets the clock, freezes it or lets it run.
func (s *Server) SetClock(r *http.Request) (wire.Response, error) {
	var wanted clockState
	if err := readJSON(r, &wanted); err != nil {
		return wire.Response{}, err
	}
	if wanted.Now == nil && wanted.Frozen == nil {
		return wire.Response{}, googleapi.InvalidArgument(`the body must be {"now": …, "frozen": …}, with at least one of them`)
	}
	if err := s.clock.Put(clock.Setting(wanted)); err != nil {
		return wire.Response{}, googleapi.InvalidArgument(err.Error())
	}
	return s.clockState(), nil
}

// AdvanceClock moves the clock forward.
func (s *Server) AdvanceClock(r *http.Request) (wire.Response, error) {
	var wanted struct {
		Duration *fixtures.Duration `json:"duration"`
	}
	if err := readJSON(r, &wanted); err != nil {
		return wire.Response{}, err
	}
	if wanted.Duration == nil {
		return wire.Response{}, googleapi.InvalidArgument(`the body must be {"duration": …}, such as "1h30m"`)
	}
	if err := s.clock.Advance(time.Duration(*wanted.Duration)); err != nil {
		return wire.Response{}, googleapi.InvalidArgument(err.Error())
	}
	return s.clockState(), nil
}
