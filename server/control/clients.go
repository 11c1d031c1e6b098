package control

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/fixtures/spelling"
	"gcp-metadata-emulator/server/doctor"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/reach/shell"
	"gcp-metadata-emulator/server/wire"
)

// Environment writes the variables that lead programs here. It writes the same as the command env if the
// caller has no such variables yet. The parameter "shell" names the format, and "instance" an instance
// with an address of its own.
func (s *Server) Environment(r *http.Request) (wire.Response, error) {
	format := r.URL.Query().Get("shell")
	if format == "" {
		format = shell.Posix
	}
	if !slices.Contains(shell.Formats(), format) {
		message := fmt.Sprintf("there is no format %q; use one of: %s", format, strings.Join(shell.Formats(), ", "))
		if near, ok := spelling.Nearest(format, shell.Formats()); ok {
			message = fmt.Sprintf("there is no format %q; did you mean %q?", format, near)
		}
		return wire.Response{}, googleapi.InvalidArgument(message)
	}
	target, err := s.target(r)
	if err != nil {
		return wire.Response{}, err
	}
	text, err := shell.Write(format, target.Variables(), target.Obstacles())
	if err != nil {
		return wire.Response{}, googleapi.InvalidArgument(err.Error())
	}
	contentType := "text/plain; charset=utf-8"
	if format == shell.JSON {
		contentType = googleapi.ContentType
	}
	return wire.Response{ContentType: contentType, Body: text}, nil
}

// target returns the emulator as the client of a request reaches it.
func (s *Server) target(r *http.Request) (reach.Target, error) {
	current, base := s.worlds.Load().State, s.surfacesURL(r)
	if name := r.URL.Query().Get("instance"); name != "" && name != current.DefaultInstance().Name {
		if _, exists := current.Instance(name); !exists {
			return reach.Target{}, googleapi.NotFound(fmt.Sprintf("there is no instance %q", name))
		}
		if base = s.addresses()[name]; base == "" {
			return reach.Target{}, googleapi.InvalidArgument(fmt.Sprintf(
				"instance %q has no address of its own; set one in the fixture: listen: 127.0.0.1:0", name))
		}
	}
	parsed, err := url.Parse(base)
	if err != nil {
		return reach.Target{}, googleapi.InvalidArgument(fmt.Sprintf("%q is not the URL of an emulator", base))
	}
	return reach.Target{URL: parsed, ControlURL: wire.BaseURL(r), ProjectID: current.Project.ID, UniverseDomain: current.UniverseDomain}, nil
}

// Clients predicts the findings of each client library with the variables of Environment, as the command
// doctor does for its own environment.
func (s *Server) Clients(r *http.Request) (wire.Response, error) {
	target, err := s.target(r)
	if err != nil {
		return wire.Response{}, err
	}
	return googleapi.JSON(struct {
		Findings []doctor.Finding `json:"findings"`
	}{doctor.Surroundings{Emulator: target.URL.Host}.Usual().Diagnose()}), nil
}
