// Package tokeninfo implements the endpoint that describes a token, for debugging
// (https://developers.google.com/identity/sign-in/web/backend-auth#calling-the-tokeninfo-endpoint).
package tokeninfo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iam"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

const (
	invalidValue = "Invalid Value"
	noToken      = "Either access_token, id_token, or token_handle required"
)

// Server handles tokeninfo requests. It is safe for concurrent use.
type Server struct {
	worlds *store.Store[*world.World]
	issuer *token.Issuer
	now    func() time.Time
}

// New returns a tokeninfo endpoint. now is its clock.
func New(worlds *store.Store[*world.World], issuer *token.Issuer, now func() time.Time) *Server {
	return &Server{worlds: worlds, issuer: issuer, now: now}
}

// Describe answers in the form of version 3, in which every value is a string.
func (s *Server) Describe(r *http.Request) (wire.Response, error) {
	return s.describe(r, s.accessInfo)
}

// DescribeOld answers in the form of versions 1 and 2, with the names of OAuth 2.0 drafts.
func (s *Server) DescribeOld(r *http.Request) (wire.Response, error) {
	return s.describe(r, s.oldAccessInfo)
}

// describe answers with the claims of an ID token, or with form's description of an access token.
func (s *Server) describe(r *http.Request, form func(token.Access) any) (wire.Response, error) {
	access, id, err := tokens(r)
	if err != nil {
		return wire.Response{}, err
	}
	if access == "" {
		return s.describeID(r.Context(), id)
	}
	if !token.IsAccess(access) { // the endpoint does not know self-signed JWTs
		return wire.Response{}, refuse(token.ErrUnknown)
	}
	known, err := s.issuer.Bearer(s.worlds.Load().State, access, "")
	if err != nil {
		return wire.Response{}, refuse(err)
	}
	if known.Principal.Kind == iam.KindFederated { // Google's endpoint does not know federated tokens
		return wire.Response{}, oauthapi.NewError(oauthapi.InvalidToken, invalidValue).Because("the token speaks for %q, and tokeninfo does not know federated tokens", known.Principal.Member())
	}
	response := oauthapi.JSON(form(known))
	response.About = &wire.Subject{Account: known.Principal.Email}
	return response, nil
}

func (s *Server) accessInfo(known token.Access) any {
	info := accessInfo{
		AuthorizedParty: party(known),
		Audience:        party(known),
		Scope:           strings.Join(known.Scopes, " "),
		Expires:         strconv.FormatInt(known.Expires, 10),
		ExpiresIn:       strconv.FormatInt(s.left(known), 10),
		AccessType:      accessType(known),
	}
	if oauthapi.TellIdentity(known.Scopes) {
		info.Subject = known.Principal.ID
	}
	if oauthapi.TellEmail(known.Scopes) {
		info.Email, info.EmailVerified = known.Principal.Email, "true"
	}
	return info
}

// party returns the owner of a token: the OAuth client that a user authorised, or else the
// principal itself.
func party(known token.Access) string { return cmp.Or(known.Client, known.Principal.ID) }

// accessType reports whether the client has a refresh token, and so access without the user.
func accessType(known token.Access) string {
	if known.Offline {
		return "offline"
	}
	return "online"
}

// accessInfo is the description of an access token in version 3.
type accessInfo struct {
	AuthorizedParty string `json:"azp"`
	Audience        string `json:"aud"`
	Subject         string `json:"sub,omitempty"`
	Scope           string `json:"scope"`
	Expires         string `json:"exp"`
	ExpiresIn       string `json:"expires_in"`
	Email           string `json:"email,omitempty"`
	EmailVerified   string `json:"email_verified,omitempty"`
	AccessType      string `json:"access_type"`
}

func (s *Server) oldAccessInfo(known token.Access) any {
	info := oldAccessInfo{
		IssuedTo:   party(known),
		Audience:   party(known),
		Scope:      strings.Join(known.Scopes, " "),
		ExpiresIn:  s.left(known),
		AccessType: accessType(known),
	}
	if oauthapi.TellIdentity(known.Scopes) {
		info.UserID = known.Principal.ID
	}
	if oauthapi.TellEmail(known.Scopes) {
		info.Email, info.VerifiedEmail = known.Principal.Email, true
	}
	return info
}

type oldAccessInfo struct {
	IssuedTo      string `json:"issued_to"`
	Audience      string `json:"audience"`
	UserID        string `json:"user_id,omitempty"`
	Scope         string `json:"scope"`
	ExpiresIn     int64  `json:"expires_in"`
	Email         string `json:"email,omitempty"`
	VerifiedEmail bool   `json:"verified_email,omitempty"`
	AccessType    string `json:"access_type"`
}

// describeID answers with the claims and the header of an ID token. It omits lists and objects,
// because every value is a string.
func (s *Server) describeID(ctx context.Context, text string) (wire.Response, error) {
	parsed, err := s.issuer.VerifyID(ctx, text)
	if err != nil {
		return wire.Response{}, refuse(err)
	}
	info := map[string]string{}
	for _, claims := range []map[string]any{parsed.Claims, parsed.Header} {
		for name, value := range claims {
			switch value := value.(type) {
			case string:
				info[name] = value
			case json.Number, bool:
				info[name] = fmt.Sprint(value)
			}
		}
	}
	return oauthapi.JSON(info), nil
}

func (s *Server) left(access token.Access) int64 { return access.Expires - s.now().Unix() }

// refuse turns a refusal of the token into an error for the client, and returns other errors as
// they are.
func refuse(err error) error {
	if token.IsRefusal(err) {
		return oauthapi.NewError(oauthapi.InvalidToken, invalidValue).BecauseOf(journal.Refusal{Code: guard.CodeOf(err), Reason: err.Error()})
	}
	return err
}

// tokens returns the access token or the ID token to describe: from the query, from the body, or
// from the Authorization header.
func tokens(r *http.Request) (access, id string, err error) {
	form, err := oauthapi.ReadForm(r)
	if err != nil {
		return "", "", err
	}
	query := oauthapi.ReadQuery(r)
	first := func(name string) string {
		if value := query.Get(name); value != "" {
			return value
		}
		return form.Get(name)
	}
	access, id = first("access_token"), first("id_token")
	if access == "" && id == "" {
		credential, ok := oauthapi.BearerOf(r.Header.Get("Authorization"))
		if !ok {
			return "", "", oauthapi.NewError(oauthapi.InvalidRequest, noToken)
		}
		access = credential
	}
	return access, id, nil
}
