package cloudrun

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"gcp-metadata-emulator/fixtures"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/order"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

func newUID() string { return uuid.NewString() }

// largestPage is the number of services on a page unless a client asks for fewer.
const largestPage = 100

// List handles services.list. It sorts by name, so that pages stay correct when services are created
// or deleted meanwhile.
func (s *Server) List(r *http.Request) (wire.Response, error) {
	if _, err := s.project(r, "ListServices", "run.services.list"); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "pageSize", "pageToken", "showDeleted"); err != nil {
		return wire.Response{}, err
	}
	size, after, err := page(r)
	if err != nil {
		return wire.Response{}, err
	}
	w := s.worlds.Load().State
	rest := slices.DeleteFunc(listed(w, r), func(t target) bool { return t.service.Name <= after })
	answer := &runpb.ListServicesResponse{}
	for _, t := range rest[:min(size, len(rest))] {
		answer.Services = append(answer.Services, t.message(w.Project))
	}
	if len(rest) > size {
		answer.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(rest[size-1].service.Name))
	}
	return reply(r, answer)
}

// listed returns the services in the region that a request is about, by name.
func listed(w *world.World, r *http.Request) []target {
	var list []target
	for _, service := range w.Services() {
		if isIn(r, service) {
			instance, _ := w.Instance(service.Name)
			list = append(list, target{service: service, instance: instance})
		}
	}
	order.Sort(list, func(a, b target) int { return cmp.Compare(a.service.Name, b.service.Name) })
	return list
}

// page reads which page of a list a request asks for.
func page(r *http.Request) (size int, after string, err error) {
	query := r.URL.Query()
	size = largestPage
	if text := query.Get("pageSize"); text != "" {
		number, err := strconv.ParseInt(text, 10, 32)
		if err != nil || number < 0 {
			return 0, "", googleapi.InvalidArgument(fmt.Sprintf("Invalid value at 'page_size' (TYPE_INT32), %q", text))
		}
		if number > 0 {
			size = min(int(number), largestPage)
		}
	}
	token, err := base64.RawURLEncoding.DecodeString(query.Get("pageToken"))
	if err != nil {
		return 0, "", googleapi.InvalidArgument("The page token is not valid.")
	}
	return size, string(token), nil
}

// Get handles services.get.
func (s *Server) Get(r *http.Request) (wire.Response, error) {
	t, err := s.service(r, "GetService", "run.services.get")
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r); err != nil {
		return wire.Response{}, err
	}
	return reply(r, t.message(s.worlds.Load().State.Project))
}

// Create handles services.create. The new service is an instance of its own.
func (s *Server) Create(r *http.Request) (wire.Response, error) {
	caller, err := s.project(r, "CreateService", "run.services.create")
	if err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "serviceId", "service_id", "validateOnly", "validate_only"); err != nil {
		return wire.Response{}, err
	}
	asked := &runpb.Service{}
	if err := read(r, asked); err != nil {
		return wire.Response{}, err
	}
	query := r.URL.Query()
	r.SetPathValue("service", cmp.Or(query.Get("serviceId"), query.Get("service_id")))
	return s.change(r, func(w *world.World) (fixtures.Instance, error) {
		return s.edit(w, caller).create(r, r.PathValue("service"), proto.CloneOf(asked))
	})
}

func (s *Server) edit(w *world.World, caller guard.Caller) edit {
	return edit{world: w, caller: caller, now: s.now()}
}

// Patch handles services.patch. Without an update mask it replaces everything that clients write.
func (s *Server) Patch(r *http.Request) (wire.Response, error) {
	if err := googleapi.CheckQuery(r, "updateMask", "update_mask", "validateOnly", "validate_only", "allowMissing", "allow_missing"); err != nil {
		return wire.Response{}, err
	}
	t, err := s.service(r, "UpdateService", "run.services.update")
	if flag(r, "allowMissing", "allow_missing") && isNotFound(err) {
		t.caller, err = s.project(r, "UpdateService", "run.services.create")
	}
	if err != nil {
		return wire.Response{}, err
	}
	asked := &runpb.Service{}
	if err := read(r, asked); err != nil {
		return wire.Response{}, err
	}
	query := r.URL.Query()
	mask := cmp.Or(query.Get("updateMask"), query.Get("update_mask"))
	return s.change(r, func(w *world.World) (fixtures.Instance, error) {
		e := s.edit(w, t.caller)
		current, ok := locate(w, r)
		switch {
		case !ok && t.service == nil:
			return e.create(r, r.PathValue("service"), proto.CloneOf(asked))
		case !ok:
			return fixtures.Instance{}, notFound(w.Project, r)
		}
		next, err := patched(current.message(w.Project), asked, mask)
		if err != nil {
			return fixtures.Instance{}, err
		}
		return e.write(described(w, current), next)
	})
}

func isNotFound(err error) bool {
	refused, ok := errors.AsType[*googleapi.Error](err)
	return ok && refused.Code == http.StatusNotFound
}

// flag reports whether a query parameter is true, by one of its names.
func flag(r *http.Request, names ...string) bool {
	query := r.URL.Query()
	return slices.ContainsFunc(names, func(name string) bool { return query.Get(name) == "true" })
}

// patched returns a service with the fields of another service that a mask names.
func patched(current, asked *runpb.Service, mask string) (*runpb.Service, error) {
	if asked.GetEtag() != "" && asked.GetEtag() != current.GetEtag() {
		return nil, googleapi.Aborted(fmt.Sprintf("The etag %s belongs to an earlier version of the service.", asked.GetEtag()))
	}
	next := proto.CloneOf(asked)
	if mask != "" && mask != "*" {
		next = proto.CloneOf(current)
		if err := take(next, asked, strings.Split(mask, ",")); err != nil {
			return nil, err
		}
	}
	next.Uid, next.CreateTime, next.Creator, next.Generation = current.GetUid(), current.GetCreateTime(), current.GetCreator(), current.GetGeneration()
	return next, nil
}

// described is the instance of a service as a fixture describes it.
func described(w *world.World, t target) fixtures.Instance {
	instances := w.Fixture().Instances
	return instances[slices.IndexFunc(instances, func(f fixtures.Instance) bool { return f.Name == t.instance.Name })]
}

// change puts an instance into the world, unless the client only wants to know whether it could, and
// answers with an operation.
func (s *Server) change(r *http.Request, change func(*world.World) (fixtures.Instance, error)) (wire.Response, error) {
	only := flag(r, "validateOnly", "validate_only")
	var after *world.World
	err := s.worlds.Update(func(w *world.World) (*world.World, error) {
		f, err := change(w)
		if err != nil {
			return nil, err
		}
		after = w.WithInstance(f)
		if only {
			return w, nil
		}
		return after, nil
	})
	if err != nil {
		return wire.Response{}, err
	}
	changed, _ := locate(after, r)
	return s.done(r, changed.message(after.Project))
}

// Delete handles services.delete. The instance goes away with its service.
func (s *Server) Delete(r *http.Request) (wire.Response, error) {
	if _, err := s.service(r, "DeleteService", "run.services.delete"); err != nil {
		return wire.Response{}, err
	}
	if err := googleapi.CheckQuery(r, "etag", "validateOnly", "validate_only"); err != nil {
		return wire.Response{}, err
	}
	var last *runpb.Service
	err := s.worlds.Update(func(w *world.World) (*world.World, error) {
		current, ok := locate(w, r)
		if !ok {
			return nil, notFound(w.Project, r)
		}
		last = current.message(w.Project)
		if tag := r.URL.Query().Get("etag"); tag != "" && tag != last.GetEtag() {
			return nil, googleapi.Aborted(fmt.Sprintf("The etag %s belongs to an earlier version of the service.", tag))
		}
		after, err := w.WithoutInstance(current.instance.Name)
		if errors.Is(err, world.ErrLastInstance) {
			return nil, googleapi.FailedPrecondition("The emulator needs one instance, and this service is the only one.")
		}
		if flag(r, "validateOnly", "validate_only") {
			return w, err
		}
		return after, err
	})
	if err != nil {
		return wire.Response{}, err
	}
	last.DeleteTime = timestamppb.New(s.now())
	return s.done(r, last)
}

// done answers with an operation that is done, as every operation is at once.
func (s *Server) done(r *http.Request, result *runpb.Service) (wire.Response, error) {
	payload, err := anypb.New(result)
	if err != nil {
		return wire.Response{}, fmt.Errorf("encode a service: %w", err)
	}
	place, _, _ := strings.Cut(result.GetName(), "/services/")
	operation := &longrunningpb.Operation{
		Name: place + "/operations/" + uuid.NewString(), Metadata: payload, Done: true,
		Result: &longrunningpb.Operation_Response{Response: payload},
	}
	s.operations.Add(operation.GetName(), operation)
	return reply(r, operation)
}

// Operation handles operations.get and operations.wait.
func (s *Server) Operation(r *http.Request) (wire.Response, error) {
	if _, err := s.project(r, "GetOperation", "run.operations.get"); err != nil {
		return wire.Response{}, err
	}
	name := "projects/" + s.worlds.Load().State.Project.ID + "/locations/" + r.PathValue("location") + "/operations/" + r.PathValue("operation")
	operation, ok := s.operations.Get(name)
	if !ok {
		return wire.Response{}, googleapi.NotFound(fmt.Sprintf("Operation '%s' was not found.", name))
	}
	return reply(r, operation)
}
