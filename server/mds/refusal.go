package mds

import (
	"fmt"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// because gives an answer the reason for which it refuses a request.
func because(refused wire.Response, code reason.Code, format string, arguments ...any) wire.Response {
	refused.Refusal = &journal.Refusal{Code: code, Reason: fmt.Sprintf(format, arguments...)}
	return refused
}

// wrongMethod refuses an HTTP method that does not fit the path.
func (p *profile) wrongMethod(r *http.Request) wire.Response {
	return because(p.refuse(r, http.StatusMethodNotAllowed, ""), reason.WrongMethod,
		"the metadata server does not take %s for %q", r.Method, r.URL.Path)
}

// badQuery refuses a request for a reason that completes a sentence about its query.
func (p *profile) badQuery(r *http.Request, problem string) wire.Response {
	return because(p.refuse(r, http.StatusBadRequest, ""), reason.BadQuery, "the query of the request for %q %s", r.URL.Path, problem)
}

// noFlavor refuses a request without the flavor header.
func (p *profile) noFlavor(r *http.Request) wire.Response {
	return because(p.missingFlavor(r), reason.FlavorMissing, "the request for %q lacks the header Metadata-Flavor: Google", r.URL.Path)
}

// removed refuses a request to an instance that has been removed.
func (p *profile) removed(r *http.Request) wire.Response {
	return because(p.refuse(r, http.StatusServiceUnavailable, ""), reason.NoInstance, "the instance of the request for %q has been removed", r.URL.Path)
}

// moved refuses a request that has waited on an instance, if the caller's address no longer belongs to
// the instance.
func (p *profile) moved(r *http.Request, instance string) wire.Response {
	refused := because(p.refuse(r, http.StatusServiceUnavailable, ""), reason.NoInstance,
		"the address of the caller is no longer of the instance %q, on which the request for %q waited", instance, r.URL.Path)
	refused.Refusal.Hint = "send the request again"
	return refused
}

// unknownCaller refuses a request from an address that no instance has. The body says so, because
// nothing else tells the author of a program in another container.
func (p *profile) unknownCaller(r *http.Request, refusal *journal.Refusal) wire.Response {
	refused := plainText(r, http.StatusForbidden, refusal.Reason+"\nhint: "+refusal.Hint)
	refused.Shared, refused.Refusal = p.header, refusal
	return refused
}

// unknownPath refuses a request for a path that the metadata server does not have.
func (p *profile) unknownPath(r *http.Request) wire.Response {
	refused := because(p.refuse(r, http.StatusNotFound, ""), reason.UnknownEntry, "the metadata server has no path %q", r.URL.Path)
	refused.Refusal.Hint = "write a path below /computeMetadata/v1/, or address the API by its own host name"
	return refused
}

// unknownEntry refuses a request for an entry that the instance does not have.
func (t *tree) unknownEntry(r *http.Request) wire.Response {
	refused, name := t.profile.refuse(r, http.StatusNotFound, ""), t.instance.Name
	if _, below, ok := strings.Cut(r.URL.Path, "/instance/service-accounts/"); ok && below != "" {
		account, _, _ := strings.Cut(below, "/")
		if _, attached := t.root.find("computeMetadata", "v1", "instance", "service-accounts", account); !attached {
			return because(refused, reason.NoAccount, "the instance %q has no service account %q", name, account)
		}
	}
	return because(refused, reason.UnknownEntry, "the instance %q has no metadata at %q", name, r.URL.Path)
}

// Dialect returns the format of the metadata server's errors. Its answers are complete, because
// their header depends on the instance.
func (s *Server) Dialect() wire.Dialect {
	return wire.Dialect{Error: func(r *http.Request, err error) wire.Response {
		return s.look(r).profile.refuse(r, errorpage.StatusOf(err), "")
	}}
}
