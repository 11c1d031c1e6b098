package control

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// State returns the current world as a fixture.
func (s *Server) State(r *http.Request) (wire.Response, error) {
	return describe(r, s.worlds.Load().State)
}

// SetState replaces the world with the fixture in the body, and answers with it. If a value
// changes, SetState wakes the requests that wait for it. If the fixture is invalid, nothing
// changes. The fixture may not name files, because a client of the control plane must not read the
// machine's files.
func (s *Server) SetState(r *http.Request) (wire.Response, error) {
	body, err := wire.ReadBodyUpTo(r, fixtures.MaxBytes)
	if err != nil {
		return wire.Response{}, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return wire.Response{}, googleapi.InvalidArgument("the body is empty; send {} for the default world")
	}
	f, err := fixtures.ParseAlone("body", body)
	if err != nil {
		return wire.Response{}, unreadable(err)
	}
	next, err := world.Checked(f)
	if err != nil {
		return wire.Response{}, unreadable(err)
	}
	if err := s.player.Put(next); err != nil {
		return wire.Response{}, err
	}
	return describe(r, next)
}

// describe writes a world as a fixture: as YAML if the client accepts it, otherwise as JSON.
func describe(r *http.Request, w *world.World) (wire.Response, error) {
	const mediaType = "application/yaml" // RFC 9512
	write, contentType := w.Fixture().JSON, googleapi.ContentType
	if strings.Contains(r.Header.Get("Accept"), mediaType) {
		write, contentType = w.Fixture().YAML, mediaType
	}
	text, err := write()
	if err != nil {
		return wire.Response{}, fmt.Errorf("describe the world: %w", err)
	}
	return wire.Response{
		ContentType: contentType, Body: string(text),
		Header: []wire.Field{{Name: "Cache-Control", Value: "no-store"}, {Name: "Vary", Value: "Accept"}},
	}, nil
}

// unreadable turns a mistake in a fixture into an API error with its position and hint, both in
// the message and in details for programs.
func unreadable(err error) error {
	mistake, ok := errors.AsType[*fixtures.Error](err)
	if !ok {
		return googleapi.InvalidArgument(err.Error())
	}
	answer := googleapi.InvalidArgument(mistake.Error())
	details := map[string]string{
		"line": strconv.Itoa(mistake.Line), "column": strconv.Itoa(mistake.Column), "problem": mistake.Message, "excerpt": mistake.Excerpt,
	}
	if mistake.Suggestion != "" {
		answer.Message += "; hint: " + mistake.Suggestion
		details["hint"] = mistake.Suggestion
	}
	if several, ok := errors.AsType[*fixtures.SeveralError](err); ok {
		answer.Message += "; " + several.Others()
		details["others"] = several.Others()
	}
	return answer.WithInfo(googleapi.ErrorInfo{Reason: "FIXTURE_INVALID", Domain: "gcp-metadata-emulator", Metadata: details})
}
