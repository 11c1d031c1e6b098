// Package sts implements Google's Security Token Service
// (https://cloud.google.com/iam/docs/reference/sts/rest). It exchanges tokens of other identity
// providers for access tokens of federated principals, and access tokens for downscoped tokens.
//
// The package decides which tokens an identity pool accepts, and how it refuses others. Package
// world maps claims to principals, and package token issues the tokens.
package sts

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"gcp-metadata-emulator/server/errorpage"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Token types (RFC 8693, section 3).
const (
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	typeAWS         = "urn:ietf:params:aws:token-type:aws4_request" // defined by Google
	typeSAML        = "urn:ietf:params:oauth:token-type:saml2"
	typeX509        = "urn:ietf:params:oauth:token-type:mtls" // defined by Google
)

// Cluster is a Kubernetes cluster. Providers may trust its tokens.
type Cluster interface {
	// Keys returns the keys with an ID, and whether issuer is the issuer of the cluster's tokens.
	Keys(ctx context.Context, issuer, id string) (keys []crypto.PublicKey, known bool)
}

// Server handles requests to the Security Token Service. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	issuer *token.Issuer
	now    func() time.Time

	cluster Cluster // may be nil
}

// New returns a Security Token Service. now is its clock. cluster is nil if no cluster is watched.
func New(worlds *store.Store[*world.World], issuer *token.Issuer, now func() time.Time, cluster Cluster) *Server {
	return &Server{worlds: worlds, issuer: issuer, now: now, cluster: cluster}
}

// Dialect returns the form of the service's answers: the headers of Google's APIs, and the errors
// of RFC 6749 as compact JSON.
func Dialect() wire.Dialect {
	dialect := googleapi.Dialect()
	dialect.Error = func(r *http.Request, err error) wire.Response {
		known, ok := errors.AsType[*oauthapi.Error](err)
		if !ok {
			return errorpage.Error(r, err)
		}
		response := compact(struct {
			Code        string `json:"error"`
			Description string `json:"error_description"`
		}{known.Code, known.Description})
		response.Status = known.Status
		return response
	}
	return dialect
}

func compact(value any) wire.Response {
	return wire.Response{ContentType: googleapi.ContentType, Body: wire.Compact(value)}
}

// parameters holds the parameters of a request. Names are in snake case in a form, and in snake
// or camel case in JSON, as in the JSON mapping of protocol buffers.
type parameters struct{ values url.Values }

func readParameters(r *http.Request) (parameters, error) {
	values, err := oauthapi.ReadForm(r)
	return parameters{values}, err
}

func (p parameters) get(name string) string {
	if p.values.Has(name) {
		return p.values.Get(name)
	}
	return p.values.Get(googleapi.JSONName(name))
}

// need returns a parameter, or an error if it is missing.
func (p parameters) need(name string) (string, error) {
	value := p.get(name)
	if value == "" {
		return "", oauthapi.Missing(name)
	}
	return value, nil
}

// Subject returns the parameter "audience", normally the name of the identity pool's provider.
func (s *Server) Subject(r *http.Request) wire.Subject {
	form, err := readParameters(r)
	if err != nil {
		return wire.Subject{}
	}
	return wire.Subject{Audience: form.get("audience")}
}

// exchanged is a successful answer (RFC 8693, section 2.2.1).
type exchanged struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in,omitempty"`

	defective bool // the token has the defect that the request's context asks for
}

// Token handles the token exchange (RFC 8693, section 2).
func (s *Server) Token(r *http.Request) (wire.Response, error) {
	form, err := readParameters(r)
	if err != nil {
		return wire.Response{}, err
	}
	if grantType := form.get("grant_type"); grantType != oauthapi.GrantTypeTokenExchange {
		return wire.Response{}, oauthapi.NewError(oauthapi.UnsupportedGrantType, "Invalid grant_type: "+grantType)
	}
	if requested := form.get("requested_token_type"); requested != "" && requested != typeAccessToken {
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidRequest, "Invalid requested_token_type: "+requested)
	}
	subject, err := form.need("subject_token")
	if err != nil {
		return wire.Response{}, err
	}
	boundary, err := readBoundary(form.get("options"))
	if err != nil {
		return wire.Response{}, err
	}
	var answer exchanged
	switch kind := form.get("subject_token_type"); kind {
	case typeJWT, typeIDToken, typeAWS, typeSAML:
		answer, err = s.federate(r.Context(), form, subject, boundary)
	case typeAccessToken:
		answer, err = s.downscope(r.Context(), subject, boundary)
	case typeX509:
		err = oauthapi.NewError(oauthapi.InvalidRequest, "The emulator does not exchange X.509 certificates (subject_token_type "+kind+").")
	default:
		err = oauthapi.NewError(oauthapi.InvalidRequest, "Invalid subject_token_type: "+kind)
	}
	if err != nil {
		return wire.Response{}, err
	}
	response := compact(answer)
	response.Defective = answer.defective
	return response, nil
}

// downscope issues a token with the rights of the subject token, limited by an access boundary.
// Both tokens expire at the same time, so the answer has no expires_in.
func (s *Server) downscope(ctx context.Context, subject string, boundary json.RawMessage) (exchanged, error) {
	source, err := s.recognise(subject)
	if err != nil {
		return exchanged{}, err
	}
	grant := source.Grant
	switch {
	case boundary != nil && grant.Boundary != nil:
		return exchanged{}, oauthapi.NewError(oauthapi.InvalidGrant, "The subject token already has an access boundary.")
	case boundary != nil:
		grant.Boundary = boundary
	}
	if grant.Session == "" {
		grant.Session = source.ID // revoking either token revokes both
	}
	left := time.Unix(source.Expires, 0).Sub(s.now().Truncate(time.Second))
	issued, err := s.issuer.Access(ctx, grant, left)
	if err != nil {
		return exchanged{}, fmt.Errorf("issue a downscoped token: %w", err)
	}
	return exchanged{
		AccessToken: issued.Text, IssuedTokenType: typeAccessToken, TokenType: oauthapi.TokenTypeBearer, defective: issued.IsDefective(),
	}, nil
}

// recognise reads an access token of this emulator. The token's principal must exist and be
// enabled.
func (s *Server) recognise(text string) (token.Access, error) {
	if !token.IsAccess(text) {
		return token.Access{}, oauthapi.NewError(oauthapi.InvalidGrant, "The subject token is not an access token.")
	}
	access, err := s.issuer.Bearer(s.worlds.Load().State, text, "")
	for _, refusal := range []error{token.ErrUnknown, token.ErrExpired, token.ErrRevoked, token.ErrInactive} {
		if errors.Is(err, refusal) {
			return token.Access{}, oauthapi.NewError(oauthapi.InvalidGrant, "The subject token is invalid: "+refusal.Error()+".")
		}
	}
	return access, err
}
