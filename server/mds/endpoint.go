package mds

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// endpoint answers with a token for the request.
func (s *Server) endpoint(r *http.Request, found *Found, q *query) (wire.Response, error) {
	n, t := found.node, found.tree
	response, err := s.issue(r, n, t, q)
	if n.kind == identityEndpoint {
		response.About = &wire.Subject{Instance: t.instance.Name, ChosenBy: string(found.rule), Account: n.account.Account.Email, Audience: q.audience}
	}
	return response, err
}

func (s *Server) issue(r *http.Request, n *node, t *tree, q *query) (wire.Response, error) {
	switch {
	case q.wait: // tokens have no changes to wait for
		return t.profile.badQuery(r, "waits for a change, and a token has none"), nil
	case n.account.Account.Disabled:
		return because(t.profile.refuse(r, http.StatusNotFound, ""), reason.InactivePrincipal, "service account %q is disabled", n.account.Account.Email), nil
	case n.account.Impersonator != "" && s.callers.InForce() != guard.Off:
		return s.impersonate(r, n, t, q)
	}
	return s.grant(r, n, t, q)
}

// grant answers with a token for an account that may have it.
func (s *Server) grant(r *http.Request, n *node, t *tree, q *query) (wire.Response, error) {
	if n.kind == identityEndpoint {
		return s.identity(r, n.account, t, q)
	}
	scopes, ok := t.scopes(n.account, q)
	if !ok {
		return because(t.profile.refuse(r, http.StatusBadRequest, ""), reason.InsufficientScope,
			"the request enforces the scopes %q, and the instance %q has %q", q.scopes, t.instance.Name, n.account.Scopes), nil
	}
	if r.Method == http.MethodPost {
		return s.boundToken(r, n.account.Account, scopes, t)
	}
	return s.accessToken(r.Context(), n.account.Account, scopes, t, q)
}

// scopes returns the scopes of an access token. On a VM these are the account's scopes on the instance.
// If the request, or an attribute of the instance or the project, enforces scopes, they are the requested
// scopes. ok is false if the instance lacks a requested scope. Other workloads have no scopes of their
// own and get the requested scopes.
func (t *tree) scopes(attached *world.AttachedAccount, q *query) ([]string, bool) {
	if t.profile.anyScopes {
		if len(q.scopes) == 0 {
			return attached.Scopes, true
		}
		return q.scopes, true
	}
	switch strings.ToLower(q.enforceScopes) {
	case "":
		if !t.enforceScopes {
			return attached.Scopes, true
		}
	case "true", "1", "yes", "y":
	default:
		return nil, false
	}
	if len(q.scopes) == 0 {
		return attached.Scopes, true
	}
	return q.scopes, iam.CoverScopes(attached.Scopes, q.scopes)
}

// accessToken answers with the account's token for the scopes. Requests get the same token,
// with less time left, until it is about to expire.
func (s *Server) accessToken(ctx context.Context, account *world.ServiceAccount, scopes []string, t *tree, q *query) (wire.Response, error) {
	issued, err := s.issuer.CachedAccess(ctx, account, scopes)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an access token for %q: %w", account.Email, err)
	}
	left := int64(issued.Left() / time.Second)
	if q.form == textForm {
		return t.profile.tell(issued, textType, fmt.Sprintf("access_token %s\nexpires_in %d\ntoken_type Bearer\n", issued.Text, left)), nil
	}
	last := t.lastAccess.Load()
	if last == nil || last.token != issued.Text || last.left != left {
		last = &accessBody{issued.Text, left, accessText(issued, left)}
		t.lastAccess.Store(last)
	}
	return t.profile.tell(issued, jsonType, last.text), nil
}

// accessBody is the body of the last answer with an access token. For a second, the next body is the
// same.
type accessBody struct {
	token string
	left  int64
	text  string
}

// accessText writes an access token in the usual form, which is good for so many seconds.
func accessText(issued token.Token, left int64) string {
	return `{"access_token":"` + issued.Text + `","expires_in":` + strconv.FormatInt(left, 10) + `,"token_type":"Bearer"}`
}

// identity answers with an ID token of the account for an audience
// (https://cloud.google.com/compute/docs/instances/verifying-instance-identity).
func (s *Server) identity(r *http.Request, attached *world.AttachedAccount, t *tree, q *query) (wire.Response, error) {
	if attached.Kubernetes != "" {
		return because(t.profile.say(r, http.StatusNotFound, notAnnotated(attached.Kubernetes)), reason.NoAccount,
			"the Kubernetes service account %q has no Google service account, so that it gets no ID tokens", attached.Kubernetes), nil
	}
	if q.audience == "" {
		return because(t.profile.say(r, http.StatusBadRequest, "non-empty audience parameter required\n"), reason.BadQuery,
			"the request for an ID token names no audience"), nil
	}
	format := strings.ToLower(q.format)
	if format != "" && format != "standard" && format != "full" {
		return t.profile.badQuery(r, "asks for an ID token in a format that is neither standard nor full"), nil
	}
	issued, err := s.issuer.CachedID(r.Context(), t.identity(attached.Account, contents{format == "full", q.licenses}), q.audience)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an ID token for %q: %w", attached.Account.Email, err)
	}
	return t.profile.tell(issued, "text/html", issued.Text), nil
}

// contents describes the claims of an ID token besides its subject.
type contents struct{ full, licenses bool }

// identified is an account with the contents of its ID tokens.
type identified struct {
	account *world.ServiceAccount
	contents
}

// identity returns the claims of an account's ID tokens. They do not depend on the audience.
func (t *tree) identity(account *world.ServiceAccount, has contents) token.Identity {
	if known, ok := t.identities.Load(identified{account, has}); ok {
		return known.(token.Identity)
	}
	claims := token.Claims{AuthorizedParty: account.UniqueID, Subject: account.UniqueID}
	if has.full || t.profile.alwaysEmail {
		claims.Email = account.Email
	}
	if has.full && t.profile.describesVM {
		claims.Google.ComputeEngine = t.computeEngine
		if !has.licenses {
			claims.Google.ComputeEngine.Licenses = ""
		}
	}
	made := claims.Identity()
	t.identities.Store(identified{account, has}, made)
	return made
}

// tell answers with a text that carries a token.
func (p *profile) tell(issued token.Token, contentType, text string) wire.Response {
	response := p.answer(contentType, text)
	response.Defective = issued.IsDefective()
	return response
}
