package mds

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"gcp-metadata-emulator/server/robot"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Guest attributes are the one part of the tree that the instance itself writes
// (https://cloud.google.com/compute/docs/metadata/manage-guest-attributes).

const guestAttributes = "instance/guest-attributes"

// guestPath is what stands below guest-attributes in a path, and whether it is there at all.
func guestPath(path string) (names []string, ok bool) {
	if !strings.Contains(path, "guest-attributes") { // nearly always
		return nil, false
	}
	names = strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	const above = 4 // computeMetadata, v1, instance, guest-attributes
	if len(names) < above || strings.Join(names[:above], "/") != "computeMetadata/v1/"+guestAttributes {
		return nil, false
	}
	return names[above:], true
}

// guest answers what is asked of guest attributes: a refusal while they are not enabled,
// reading as everywhere, and writing.
func (s *Server) guest(r *http.Request, names []string) (wire.Response, error) {
	tree, ok := s.treeOf(r, s.worlds.Load().State)
	if !ok {
		return robot.Unavailable(), nil
	}
	if !tree.guestEnabled {
		return wire.Response{
			Status:      http.StatusForbidden,
			ContentType: "text/html",
			Body:        "Guest attributes endpoint access is disabled.\n",
		}, nil
	}
	if isRead(r) {
		return s.read(r)
	}
	if r.Method != http.MethodPut && r.Method != http.MethodDelete {
		return robot.MethodNotAllowed(r), nil
	}
	const namespaceAndKey = 2
	if len(names) != namespaceAndKey || !isGuestName(names[0]) || !isGuestName(names[1]) {
		return robot.BadRequest(), nil
	}
	return s.writeGuest(r, guestAttributes+"/"+names[0]+"/"+names[1])
}

func (s *Server) writeGuest(r *http.Request, path string) (wire.Response, error) {
	value, err := wire.ReadBody(r)
	if err != nil {
		return wire.Response{}, err
	}
	if !utf8.Valid(value) {
		return robot.BadRequest(), nil
	}
	err = s.worlds.Update(func(w *world.World) (*world.World, error) {
		instance, ok := instanceOf(r, w)
		switch {
		case !ok:
			return nil, world.ErrNoEntry
		case r.Method == http.MethodDelete:
			return w.WithoutMetadata(instance, path)
		default:
			return w.WithMetadata(instance, path, string(value))
		}
	})
	if errors.Is(err, world.ErrNoEntry) {
		return robot.NotFound(r), nil
	}
	return wire.Response{ContentType: textType}, err
}

// isGuestName tells whether a text can name a namespace or a key.
func isGuestName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return strings.Trim(text, letters) == ""
}

// attribute is the value of an attribute of the instance or, where it has none, of the
// project.
func attribute(root *node, name string) string {
	for _, section := range []string{"instance", "project"} {
		if found, ok := root.find("computeMetadata", "v1", section, "attributes", name); ok {
			return found.text
		}
	}
	return ""
}
