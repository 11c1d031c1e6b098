package mds

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/robot"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// endpoint answers with a token made for the request.
func (s *Server) endpoint(r *http.Request, n *node, t *tree, q *query) (wire.Response, error) {
	if q.wait { // there is nothing that could change
		return robot.BadRequest(), nil
	}
	if n.account.Account.Disabled {
		return robot.NotFound(r), nil
	}
	if n.kind == tokenEndpoint {
		scopes, ok := t.scopes(n.account, q)
		if !ok {
			return robot.BadRequest(), nil
		}
		return s.accessToken(r.Context(), n.account.Account, scopes, q)
	}
	return s.identity(r.Context(), n.account, t, q)
}

// scopes are those of an access token: all that the account has on the instance, whatever
// the request asks for, unless the request or an attribute of the instance or the project
// enforces what it asks for. It is false where that is more than there is.
func (t *tree) scopes(attached world.AttachedAccount, q *query) ([]string, bool) {
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
	for _, scope := range q.scopes {
		if !slices.Contains(attached.Scopes, scope) {
			return nil, false
		}
	}
	return q.scopes, true
}

// accessToken answers with the account's token for some scopes. It is the same one, with
// less time left, until it is about to expire.
func (s *Server) accessToken(ctx context.Context, account *world.ServiceAccount, scopes []string, q *query) (wire.Response, error) {
	issued, err := s.issuer.CachedAccess(ctx, account, scopes)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an access token for %q: %w", account.Email, err)
	}
	left := int64(issued.Expires.Sub(s.now()) / time.Second)
	if q.form == textForm {
		return wire.Response{
			ContentType: textType,
			Body:        fmt.Sprintf("access_token %s\nexpires_in %d\ntoken_type Bearer\n", issued.Text, left),
		}, nil
	}
	return wire.Response{
		ContentType: jsonType,
		Body:        `{"access_token":"` + issued.Text + `","expires_in":` + strconv.FormatInt(left, 10) + `,"token_type":"Bearer"}`,
	}, nil
}

// identity answers with an ID token of the account for an audience
// (https://cloud.google.com/compute/docs/instances/verifying-instance-identity).
func (s *Server) identity(ctx context.Context, attached world.AttachedAccount, t *tree, q *query) (wire.Response, error) {
	if q.audience == "" {
		return wire.Response{
			Status:      http.StatusBadRequest,
			ContentType: robot.ContentType,
			Body:        "non-empty audience parameter required\n",
		}, nil
	}
	claims := token.Claims{
		Audience:        q.audience,
		AuthorizedParty: attached.Account.UniqueID,
		Subject:         attached.Account.UniqueID,
	}
	switch strings.ToLower(q.format) {
	case "", "standard":
	case "full":
		claims.Email = attached.Account.Email
		claims.Google.ComputeEngine = t.computeEngine
		if !q.licenses {
			claims.Google.ComputeEngine.Licenses = ""
		}
	default:
		return robot.BadRequest(), nil
	}
	issued, err := s.issuer.CachedID(ctx, claims)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an ID token for %q: %w", attached.Account.Email, err)
	}
	return wire.Response{ContentType: "text/html", Body: issued.Text}, nil
}

func computeEngine(w *world.World, instance *world.Instance) token.ComputeEngine {
	return token.ComputeEngine{
		CreationTimestamp: instance.CreationTimestamp.Unix(),
		ID:                instance.ID(),
		Name:              instance.Name,
		Licenses:          token.Licenses(strings.Join(instance.LicenseIDs(), ",")),
		ProjectID:         w.Project.ID,
		ProjectNumber:     w.Project.Number,
		Zone:              path.Base(instance.Zone()),
	}
}
