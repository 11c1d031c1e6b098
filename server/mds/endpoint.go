package mds

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/robot"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// endpoint answers with a token made for the request.
func (s *Server) endpoint(r *http.Request, n *node, t *tree, q query) (wire.Response, error) {
	if q.wait { // there is nothing that could change
		return robot.BadRequest(), nil
	}
	if n.kind == tokenEndpoint {
		return s.accessToken(r.Context(), n.account, q)
	}
	return s.identity(r.Context(), n.account, t, q)
}

// accessToken answers with the account's token for the scopes of the instance. It is the
// same one, with less time left, until it is about to expire.
func (s *Server) accessToken(ctx context.Context, attached world.AttachedAccount, q query) (wire.Response, error) {
	issued, err := s.issuer.CachedAccess(ctx, attached.Account, attached.Scopes)
	if err != nil {
		return wire.Response{}, fmt.Errorf("issue an access token for %q: %w", attached.Account.Email, err)
	}
	left := int64(issued.Expires.Sub(s.now()) / time.Second)
	if q.form == textForm {
		return wire.Response{
			ContentType: textType,
			Body:        fmt.Appendf(nil, "access_token %s\nexpires_in %d\ntoken_type Bearer\n", issued.Text, left),
		}, nil
	}
	return wire.Response{
		ContentType: jsonType,
		Body:        []byte(`{"access_token":"` + issued.Text + `","expires_in":` + strconv.FormatInt(left, 10) + `,"token_type":"Bearer"}`),
	}, nil
}

// identity answers with an ID token of the account for an audience
// (https://cloud.google.com/compute/docs/instances/verifying-instance-identity).
func (s *Server) identity(ctx context.Context, attached world.AttachedAccount, t *tree, q query) (wire.Response, error) {
	if q.audience == "" {
		return wire.Response{
			Status:      http.StatusBadRequest,
			ContentType: robot.ContentType,
			Body:        []byte("non-empty audience parameter required\n"),
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
	return wire.Response{ContentType: "text/html", Body: []byte(issued.Text)}, nil
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
