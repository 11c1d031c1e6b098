package control

import (
	"errors"
	"fmt"
	"net/http"

	"gcp-metadata-emulator/server/event"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
)

// InstanceEvents lists an instance's events that have not ended, including the future events of
// its scenario.
func (s *Server) InstanceEvents(r *http.Request) (wire.Response, error) {
	playing, err := s.playing(r)
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(struct {
		Events []event.Playing `json:"events"`
	}{playing}), nil
}

// playing returns the events of the instance in the path.
func (s *Server) playing(r *http.Request) ([]event.Playing, error) {
	instance, err := chosenInstance(s.worlds.Load().State, r)
	if err != nil {
		return nil, err
	}
	playing := []event.Playing{}
	for _, one := range s.player.List() {
		if one.Instance == instance.Name {
			playing = append(playing, one)
		}
	}
	return playing, nil
}

// PlayEvent starts an event of an instance and answers with it.
func (s *Server) PlayEvent(r *http.Request) (wire.Response, error) {
	var wanted event.Event
	if err := readJSON(r, &wanted); err != nil {
		return wire.Response{}, err
	}
	instance, err := chosenInstance(s.worlds.Load().State, r)
	if err != nil {
		return wire.Response{}, err
	}
	begun, err := s.player.Play(instance.Name, wanted)
	if err != nil {
		return wire.Response{}, playError(err)
	}
	return googleapi.JSON(begun), nil
}

// playError turns an error of the player into an API error.
func playError(err error) error {
	if invalid, ok := errors.AsType[*event.InvalidError](err); ok {
		return googleapi.InvalidArgument(invalid.Error())
	}
	if errors.Is(err, event.ErrTooMany) {
		return googleapi.InvalidArgument(err.Error())
	}
	return editError(err)
}

// ClearEvents ends all events of an instance. Metadata keeps its present values.
func (s *Server) ClearEvents(r *http.Request) (wire.Response, error) {
	playing, err := s.playing(r)
	if err != nil {
		return wire.Response{}, err
	}
	for _, one := range playing {
		if _, err := s.player.Cancel(one.ID); err != nil {
			return wire.Response{}, err
		}
	}
	return googleapi.JSON(struct{}{}), nil
}

// CancelEvent ends an event. Metadata keeps its present values.
func (s *Server) CancelEvent(r *http.Request) (wire.Response, error) {
	playing, err := s.playing(r)
	if err != nil {
		return wire.Response{}, err
	}
	for _, one := range playing {
		if one.ID != r.PathValue("event") {
			continue
		}
		if existed, err := s.player.Cancel(one.ID); err != nil || existed {
			return googleapi.JSON(struct{}{}), err
		}
	}
	return wire.Response{}, googleapi.NotFound(fmt.Sprintf("there is no event %q", r.PathValue("event")))
}
