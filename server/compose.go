package server

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"gcp-metadata-emulator/server/cloudrun"
	"gcp-metadata-emulator/server/compute"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/iamadmin"
	"gcp-metadata-emulator/server/iamcredentials"
	"gcp-metadata-emulator/server/iampools"
	"gcp-metadata-emulator/server/iamroles"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/oauth2"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/observer"
	"gcp-metadata-emulator/server/page"
	"gcp-metadata-emulator/server/partial"
	"gcp-metadata-emulator/server/publishedkeys"
	"gcp-metadata-emulator/server/realcredentials"
	"gcp-metadata-emulator/server/resourcemanager"
	"gcp-metadata-emulator/server/router"
	"gcp-metadata-emulator/server/router/hostname"
	"gcp-metadata-emulator/server/rpc"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/sts"
	"gcp-metadata-emulator/server/tokeninfo"
	"gcp-metadata-emulator/server/userinfo"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/workloads"
	"gcp-metadata-emulator/server/world"
)

// surfaces are the APIs that the emulator implements.
type surfaces struct {
	metadata       *mds.Server
	oauth2         *oauth2.Server
	tokeninfo      *tokeninfo.Server
	userinfo       *userinfo.Server
	iamcredentials *iamcredentials.Server
	iamadmin       *iamadmin.Server
	iamroles       *iamroles.Server
	iampools       *iampools.Server
	projects       *resourcemanager.Server
	compute        *compute.Server
	cloudrun       *cloudrun.Server
	sts            *sts.Server
	publishedKeys  *publishedkeys.Server
	control        *control.Server
	page           *page.Server

	worlds      *store.Store[*world.World]
	observer    *observer.Observer
	credentials *realcredentials.Guard
	logger      *slog.Logger

	rpc func() http.Handler // answers calls in gRPC

	controlApart bool // the control plane is served only under controlName

	whole table // the table of all surfaces, if it has been made
}

// controlName stands for the control plane's own address.
const controlName = "control"

// peersName stands for an address that serves only other replicas.
const peersName = "peers"

// probesName stands for an address of the probes alone.
const probesName = "probes"

// accountInPath returns the subject of a request with an account in its path.
func (s surfaces) accountInPath(r *http.Request) wire.Subject {
	return wire.Subject{Account: s.worlds.Load().State.EmailOf(r.PathValue("account"))}
}

// googleAPI guards a method of a Google API.
func (s surfaces) googleAPI(handle wire.Handler) wire.Handler {
	return googleapi.FromOwnPages(s.credentials.API(selecting(handle)))
}

// oauth guards an OAuth 2.0 endpoint.
func (s surfaces) oauth(handle wire.Handler) wire.Handler {
	return s.credentials.OAuth(partial.Answers(oauthapi.InvalidSelection, handle))
}

// oldOAuth guards an OAuth 2.0 endpoint with the errors of a Google API.
func (s surfaces) oldOAuth(handle wire.Handler) wire.Handler {
	return s.credentials.OAuth(selecting(handle))
}

// selecting lets requests for a method of a Google API select fields of the answers.
func selecting(handle wire.Handler) wire.Handler {
	return partial.Answers(googleapi.InvalidSelection, handle)
}

// entrance returns the handler that leads a request to surfaces by its host name.
func (s surfaces) entrance(allowed []hostname.Pattern, to *doors, beside *neighbours) *router.Entrance {
	return router.NewEntrance(router.Config{
		Service: func(r *http.Request) http.Handler {
			if neighbour := beside.at(r); neighbour != nil {
				return neighbour
			}
			return to.at(r)
		},
		Nowhere:    to.nowhere(),
		Allowed:    allowed,
		Everything: s.everything(),
		Probes:     s.probes().paths(),
		Names:      router.NewNames(s.table().hosts(), s.named),
		WithInstance: func(ctx context.Context, name string) context.Context {
			return workloads.Named(ctx, name, workloads.ByHost)
		},
		IsInstance: func(name string) bool {
			_, exists := s.worlds.Load().State.Instance(name)
			return exists
		},
		Universe: func() string { return s.worlds.Load().State.UniverseDomain },
		Refused:  s.unknown(surface{Watch: observed, Unknown: fallback{wire.Dialect{Error: errorpage.Error}, router.Refuse}}),
	})
}

// everything returns the handler that leads a request to a surface by its path alone. If a program
// uses this address instead of a Google API, it may call methods that the emulator does not play.
func (s surfaces) everything() http.Handler {
	all := s.table().without(peersName) // the control plane has the same paths
	all[0].Unknown = fallback{all[0].Dialect, googleapi.Unplayed(all[0].Unknown.Handle)}
	if s.controlApart {
		all = all.without(controlName)
	}
	return router.WithCalls(s.handler(all), s.rpc)
}

// at returns the handler for an address that has only some surfaces.
func (s surfaces) at(name string) http.Handler { return s.handler(s.table().at(name)) }

// named returns the handler for a host name of the table. It also answers gRPC if a surface of the
// name has calls.
func (s surfaces) named(name string) http.Handler {
	at := s.table().at(name)
	if len(at.calls()) == 0 {
		return s.handler(at)
	}
	return router.WithCalls(s.handler(at), s.rpc)
}

// handler returns the handler for the routes of some surfaces. If no route has the first segment of
// a path, the first surface answers.
func (s surfaces) handler(all table) http.Handler {
	var routes []router.Route
	for _, surface := range all {
		unknown := sync.OnceValue(func() http.Handler { return s.unknown(surface) })
		for _, route := range surface.Routes {
			routes = append(routes, router.Route{
				Method: route.Method, Path: route.Path, Unknown: unknown,
				Handler: func() http.Handler { return s.serve(surface, route) },
			})
		}
		if len(surface.Entries) > 0 {
			routes = append(routes, router.Route{
				Path: treePath + router.Below, Unknown: unknown, Handler: func() http.Handler { return s.tree(surface) },
			})
		}
	}
	return router.New(routes, func() http.Handler {
		if len(all) == 0 {
			return s.unknown(surface{Watch: observed, Unknown: fallback{googleapi.Dialect(), s.googleAPI(googleapi.NoAPI)}})
		}
		return s.unknown(all[0])
	})
}

// serve returns the HTTP handler of a route.
func (s surfaces) serve(surface surface, route route) http.Handler {
	handle := route.Handle
	if names, limited := route.Query.parameters(); limited {
		handle = control.Parameters(names, handle)
	}
	answer := surface.Dialect.Answer(s.logger, surface.Guard(handle))
	if surface.Watch == unobserved {
		return surface.Dialect.Serve(s.observer.Unobserved(route.Name, answer))
	}
	op := observer.Named(route.Name, route.Subject.of, surface.Dialect, answer)
	op.Guarded = surface.Watch == observed
	op.Issues = func(struct{}) bool { return isJWT(route.Mints) }
	return surface.Dialect.Serve(observer.Observe(s.observer, op))
}

// tree returns the HTTP handler of the metadata tree. Its operations are the entries of a surface.
func (s surfaces) tree(surface surface) http.Handler {
	var rows [mds.Operations]entry
	for _, row := range surface.Entries {
		rows[row.Asks] = row
	}
	return surface.Dialect.Serve(observer.Observe(s.observer, observer.Operation[mds.Found]{
		Find:    s.metadata.Find,
		Name:    func(found mds.Found) string { return rows[found.Operation()].Name },
		Subject: func(r *http.Request, found mds.Found) wire.Subject { return rows[found.Operation()].Subject(found, r) },
		Dialect: surface.Dialect,
		Issues:  func(found mds.Found) bool { return isJWT(rows[found.Operation()].Mints) },
		Answer:  wire.AnswerFound(surface.Dialect, s.logger, s.metadata.Answer),
	}))
}

// unknown returns the HTTP handler of the paths that a surface does not have.
func (s surfaces) unknown(of surface) http.Handler {
	of.Dialect, of.Guard = of.Unknown.Dialect, unguarded // the fallback has a guard of its own
	if of.Watch == public {
		of.Watch = observed
	}
	return s.serve(of, route{Name: unknownRoute, Handle: of.Unknown.Handle, Query: anyQuery})
}

// noMethod returns a Google API's answer to a path that the API does not have.
func (s surfaces) noMethod() fallback {
	return fallback{googleapi.Dialect(), s.googleAPI(googleapi.NoMethod)}
}

// newRPC returns a function that returns the handler of calls in gRPC. The first call makes the
// handler, because most programs never use gRPC.
func (s surfaces) newRPC() func() http.Handler {
	return sync.OnceValue(func() http.Handler {
		methods := map[string]rpc.Method{}
		for name, call := range s.table().calls() {
			methods[name] = s.observer.Call(observer.Call{Name: call.Name, Method: name, Subject: call.Subject}, call.Handle)
		}
		return s.observer.Dated(s.credentials.RPC(rpc.NewServer(s.logger, methods, s.observer.UnknownCall(unknownRoute)), s.observer.Refused(unknownRoute)))
	})
}
