package server

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
)

// serve is the HTTP handler of a route.
func (s surfaces) serve(route route, logger *slog.Logger) http.Handler {
	answer := route.dialect.Answer(logger, s.guarded(route))
	if route.isObserved() {
		answer = s.observer.observe(operation{route.operation(), s.subject(route), route.dialect, answer})
	} else {
		answer = s.observer.dated(answer)
	}
	if strings.Contains(route.path, "{") {
		answer = withVariables(answer)
	}
	return route.dialect.Serve(answer)
}

// guarded is a route's handler behind the guard of its surface.
func (s surfaces) guarded(r route) wire.Handler {
	switch surface, _, _ := strings.Cut(r.name, "."); surface {
	case "control":
		return s.control.Guard(r.name, r.handle)
	case "mds", "keys", "openid": // take none of Google's
		return r.handle
	case "oauth2", "sts":
		return s.credentials.OAuth(r.handle)
	default:
		return googleapi.FromOwnPages(s.credentials.API(r.handle))
	}
}

// names are those of the operations that can be observed, and that a fault can strike: all but
// the control plane's, by which one gets out of any trouble again.
func (s surfaces) names() []string {
	names := append(mds.Operations(), unknownRoute)
	for _, route := range s.routes() {
		if route.isObserved() && !route.hasOperations() {
			names = append(names, route.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// defects are those that the tokens can have which an operation gives out, by their kind. Of
// the token endpoint's two kinds, access tokens have fewer, and stay good under the others.
func defects() fault.Defects {
	possible := fault.Defects{}
	for name, kind := range map[string]token.Kind{
		"mds.token": token.KindAccess, "mds.identity": token.KindID,
		"oauth2.token": token.KindID, "sts.token": token.KindAccess, "sts.oauthtoken": token.KindAccess,
		"iamcredentials.generateAccessToken": token.KindAccess, "iamcredentials.generateIdToken": token.KindID,
		"iamcredentials.signJwt": token.KindJWT,
	} {
		for _, defect := range kind.Defects() {
			possible[name] = append(possible[name], string(defect))
		}
	}
	return possible
}

const unknownRoute = "unknown"

func (r route) isObserved() bool { return !strings.HasPrefix(r.name, "control.") }

// hasOperations tells whether it depends on the path which operation a request is for.
func (r route) hasOperations() bool { return strings.HasSuffix(r.path, below) }

// operation is which operation of a route a request is for.
func (r route) operation() func(*http.Request) string {
	if r.hasOperations() {
		return mds.Operation
	}
	return func(*http.Request) string { return r.name }
}

// subject tells what requests of a route are about; nil: nothing.
func (s surfaces) subject(route route) func(*http.Request) wire.Subject {
	surface, _, _ := strings.Cut(route.name, ".")
	switch {
	case surface == "mds":
		return s.metadata.Subject
	case route.name == "oauth2.token":
		return s.oauth2.Subject
	case route.name == "oauth2.tokeninfo":
		return s.tokeninfo.Subject
	case route.name == "oauth2.userinfo":
		return s.userinfo.Subject
	case route.name == "sts.token":
		return s.sts.Subject
	case surface == "iamcredentials":
		return s.iamcredentials.Subject
	case strings.Contains(route.path, "{account"):
		return s.accountInPath
	default:
		return nil
	}
}

// accountInPath is whom requests are about that have an account in their path.
func (s surfaces) accountInPath(r *http.Request) wire.Subject {
	return wire.Subject{Account: s.worlds.Load().State.EmailOf(r.PathValue("account"))}
}
