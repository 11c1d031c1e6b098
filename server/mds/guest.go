package mds

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// The instance itself writes guest attributes, and no other part of the tree
// (https://cloud.google.com/compute/docs/metadata/manage-guest-attributes).

const guestAttributes = "instance/guest-attributes"

// Limits for queries of guest attributes, if the fixture turns them on: ten a minute, three at
// once (https://cloud.google.com/compute/docs/metadata/manage-guest-attributes).
const (
	guestQueriesPerMinute = 10
	guestQueriesAtOnce    = 3
)

// guest handles requests for guest attributes. It refuses them unless they are enabled, and
// otherwise reads, writes or deletes.
func (s *Server) guest(r *http.Request, found Found) (wire.Response, error) {
	p, instance := found.tree.profile, found.tree.instance
	switch {
	case !found.tree.guestEnabled:
		response := p.answer("text/html", "Guest attributes endpoint access is disabled.\n")
		response.Status = http.StatusForbidden
		return because(response, reason.Disabled, "the instance %q has no guest attributes, because the metadata enable-guest-attributes is not TRUE", instance.Name), nil
	case instance.LimitsGuest && !s.limit(instance.Name).AllowN(s.clock.Now(), 1):
		return because(p.refuse(r, http.StatusTooManyRequests, ""), reason.RateLimited,
			"instance %q has asked for guest attributes more than %d times a minute", instance.Name, guestQueriesPerMinute), nil
	case isRead(r):
		return s.read(r, found)
	case r.Method != http.MethodPut && r.Method != http.MethodDelete:
		return p.wrongMethod(r), nil
	}
	const above, depth = 4, 6 // computeMetadata, v1, instance, guest-attributes; namespace and key
	names := strings.FieldsFunc(r.URL.EscapedPath(), func(r rune) bool { return r == '/' })
	if len(names) != depth || !isGuestName(names[above]) || !isGuestName(names[above+1]) {
		return because(p.refuse(r, http.StatusBadRequest, ""), reason.InvalidArgument, "%q is not the path of a guest attribute: a namespace and a key", r.URL.Path), nil
	}
	return s.writeGuest(r, found.tree, names[above], names[above+1])
}

// limit returns the instance's limiter of queries for guest attributes.
func (s *Server) limit(instance string) *rate.Limiter {
	if known, ok := s.limits.Load(instance); ok {
		return known.(*rate.Limiter)
	}
	known, _ := s.limits.LoadOrStore(instance, rate.NewLimiter(rate.Every(time.Minute/guestQueriesPerMinute), guestQueriesAtOnce))
	return known.(*rate.Limiter)
}

// Reset forgets all previous queries for guest attributes.
func (s *Server) Reset() { s.limits.Clear() }

func (s *Server) writeGuest(r *http.Request, t *tree, namespace, key string) (wire.Response, error) {
	p, path := t.profile, guestAttributes+"/"+namespace+"/"+key
	value, err := wire.ReadBody(r)
	if err != nil {
		return wire.Response{}, err
	}
	if !utf8.Valid(value) {
		return because(p.refuse(r, http.StatusBadRequest, ""), reason.InvalidArgument, "the value of the guest attribute %q is not UTF-8", path), nil
	}
	err = s.worlds.Update(func(w *world.World) (*world.World, error) {
		instance, exists := w.Instance(t.instance.Name)
		switch {
		case !exists:
			return nil, errGone
		case r.Method == http.MethodDelete:
			return withoutGuest(w, instance, namespace, path)
		default:
			return w.WithMetadata(instance, path, string(value))
		}
	})
	switch {
	case errors.Is(err, errGone):
		return p.removed(r), nil
	case errors.Is(err, world.ErrNoEntry):
		return t.unknownEntry(r), nil
	case errors.Is(err, world.ErrFixedEntry): // a namespace instead of a key, or the reverse
		return because(p.refuse(r, http.StatusBadRequest, ""), reason.InvalidArgument, "a namespace stands in place of a key in %q, or a key in place of a namespace", path), nil
	case errors.Is(err, world.ErrTooLarge):
		return because(p.refuse(r, http.StatusRequestEntityTooLarge, ""), reason.TooLarge, "the guest attribute %q is too large, or the instance has too many", path), nil
	default:
		return p.answer(textType, ""), err
	}
}

// errGone reports an instance that has been removed.
var errGone = errors.New("the instance is gone")

// withoutGuest deletes a guest attribute, and its namespace if it is empty afterwards.
func withoutGuest(w *world.World, instance *world.Instance, namespace, path string) (*world.World, error) {
	edited, err := w.WithoutMetadata(instance, path)
	if err != nil {
		return nil, err
	}
	instance, _ = edited.Instance(instance.Name)
	left, err := edited.Metadata(instance, guestAttributes+"/"+namespace)
	if keys, ok := left.(map[string]any); err != nil || !ok || len(keys) > 0 {
		return edited, err
	}
	return edited.WithoutMetadata(instance, guestAttributes+"/"+namespace)
}

// isGuestName reports whether text can name a namespace or a key.
func isGuestName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return strings.Trim(text, letters) == ""
}

// attribute returns the value of a custom attribute of the instance, or else of the project.
func attribute(root *node, name string) string {
	for _, section := range []string{"instance", "project"} {
		if found, ok := root.find("computeMetadata", "v1", section, "attributes", name); ok {
			return found.text
		}
	}
	return ""
}
