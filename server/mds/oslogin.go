package mds

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/oslogin"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// login is a query of OS Login.
type login uint8

const (
	noLogin login = iota
	loginUsers
	loginGroups
	loginAuthorize
)

// loginOf returns the query that an entry below oslogin answers.
func loginOf(name string) login {
	switch name {
	case "users":
		return loginUsers
	case "groups":
		return loginGroups
	case "authorize":
		return loginAuthorize
	default:
		return noLogin
	}
}

// osLogin answers a query of OS Login. A document in the tree takes precedence over the users of the
// world. If a query names users of the document, the answer has only these users. Without OS Login and
// without a document, there is no entry.
func (s *Server) osLogin(r *http.Request, found Found) (wire.Response, error) {
	query := r.URL.Query()
	document, p, name := found.node, found.tree.profile, found.tree.instance.Name
	switch {
	case document != nil && (found.login != loginUsers || !selectsUsers(query)):
		return s.read(r, found)
	case document == nil && !found.tree.loginEnabled:
		return because(p.refuse(r, http.StatusNotFound, ""), reason.Disabled, "the instance %q has no OS Login, because the metadata enable-oslogin is not TRUE", name), nil
	case isAsked(query.Get("wait_for_change")):
		return p.badQuery(r, "waits for a change, but a query of OS Login has none"), nil
	}
	answer, err := s.loginAnswer(r, found, query)
	switch {
	case errors.Is(err, oslogin.ErrStranger):
		return because(p.refuse(r, http.StatusNotFound, ""), reason.NotFound, "no user of the instance %q fits the query", name), nil
	case errors.Is(err, oslogin.ErrQuery):
		return p.badQuery(r, "has an "+err.Error()), nil
	case err != nil:
		return wire.Response{}, err
	}
	return p.answer(jsonType, wire.Compact(answer)), nil
}

// selectsUsers reports whether a query asks for some of the users.
func selectsUsers(query url.Values) bool {
	return slices.ContainsFunc([]string{"username", "uid", "groupname", "pagesize", "pagetoken"}, query.Has)
}

func (s *Server) loginAnswer(r *http.Request, found Found, query url.Values) (any, error) {
	w := found.State
	switch found.login {
	case loginUsers:
		if found.node != nil {
			return oslogin.Users(w, oslogin.ProfilesIn(found.node.value), query)
		}
		return oslogin.Users(w, oslogin.Profiles(w), query)
	case loginGroups:
		return oslogin.Groups(w, query)
	case loginAuthorize, noLogin:
	}
	verdict, err := oslogin.Authorize(w, query, s.clock.Now())
	if err == nil && !verdict.Success {
		journal.Refuse(r.Context(), refusedLogin(verdict, w.ResourceName(nil)))
	}
	return verdict, err
}

// refusedLogin says why a user may not log in.
func refusedLogin(verdict oslogin.Verdict, project string) journal.Refusal {
	role := map[string]string{iam.LogIn: "roles/compute.osLogin", iam.LogInAsAdmin: "roles/compute.osAdminLogin"}[verdict.Permission]
	return journal.Refusal{
		Code: reason.MissingPermission, Caller: verdict.Member,
		Reason:  fmt.Sprintf("%s does not have the permission %q on the project", verdict.Member, verdict.Permission),
		Hint:    fmt.Sprintf("grant %q in the project's policy", role),
		Missing: &journal.Missing{Permission: verdict.Permission, Resource: project, Roles: []string{role}},
	}
}
