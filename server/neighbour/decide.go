package neighbour

import (
	"errors"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Verdict is the decision about a request.
type Verdict struct {
	Caller iam.Principal // of kind iam.KindUnknown if the credential proves none
	// Refusal says why the request was refused or, if policies are only audited, would be refused.
	Refusal journal.Refusal

	err error // nil if the request may pass
}

// decide decides about a request to a neighbour.
func (n *Neighbours) decide(r *http.Request, to *world.Neighbour) Verdict {
	if r.Method == http.MethodOptions { // browsers ask without a credential whether they may send one
		return Verdict{}
	}
	ctx, refusal := journal.Watched(r.Context())
	var caller iam.Principal
	_, err := n.config.Screen(func(r *http.Request) (_ wire.Response, err error) {
		if isSigned(r, to) {
			caller, err = n.authorizeSigned(r, to)
		} else {
			caller, err = n.authorize(r, to)
		}
		return wire.Response{}, err
	})(r.WithContext(ctx))
	if explained, ok := errors.AsType[wire.Explained](err); ok && refusal.Reason == "" {
		*refusal = explained.Refusal()
	}
	return Verdict{Caller: caller, Refusal: *refusal, err: err}
}

// authorize decides by the bearer token of a request.
func (n *Neighbours) authorize(r *http.Request, to *world.Neighbour) (iam.Principal, error) {
	permission, api := apiOf(to, r.Method, pathAt(to, r))
	name := strings.TrimPrefix(permission, api.Service+".")
	credential, err := guard.Bearer(r, api, name)
	if err != nil {
		return iam.Principal{}, err
	}
	caller, err := n.config.Guard.Authenticate(r.Context(), credential, api, name)
	if err == nil && permission != free {
		err = caller.Need(permission, nil)
	}
	return caller.Principal, err
}

// API returns the names of a neighbour's API, and its scopes for reading. A request needs one of the
// scopes.
func API(to *world.Neighbour) guard.API {
	_, api := apiOf(to, http.MethodGet, "/")
	return api
}

// apiOf returns the permission that a request needs, and the names and scopes of its API.
func apiOf(to *world.Neighbour, verb, path string) (permission string, api guard.API) {
	permission, scopes := demandOf(to, verb, path)
	label, _, _ := strings.Cut(to.Host, ".")
	return permission, guard.API{Host: to.Host, Service: label, Scopes: scopes}
}

// pathAt returns the escaped path of a request, with the bucket before it if the host names the
// bucket, as in BUCKET.storage.googleapis.com.
func pathAt(to *world.Neighbour, r *http.Request) string {
	path, _, _ := strings.Cut(wire.Target(r), "?")
	if bucket, ok := bucketOf(to, r.Host); ok {
		return "/" + bucket + path
	}
	return path
}
