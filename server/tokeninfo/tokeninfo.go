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
	"sync/atomic"
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

	current, old form
}

// New returns a tokeninfo endpoint. now is its clock.
func New(worlds *store.Store[*world.World], issuer *token.Issuer, now func() time.Time) *Server {
	return &Server{worlds: worlds, issuer: issuer, now: now, current: form{info: accessInfoOf}, old: form{info: oldAccessInfoOf}}
}

// form is a form of the description of access tokens.
type form struct {
	info func(known token.Access, left int64) any
	last atomic.Pointer[described]
}

// described is the last answer about a token. For a second, the next one about it is the same.
type described struct {
	text     string
	left     int64
	response wire.Response
}

// describe answers with the description of an access token that is good for so many seconds.
func (f *form) describe(text string, known token.Access, left int64) wire.Response {
	if last := f.last.Load(); last != nil && last.text == text && last.left == left {
		return last.response
	}
	response := oauthapi.JSON(f.info(known, left))
	response.About = &wire.Subject{Account: known.Principal.Email}
	f.last.Store(&described{strings.Clone(text), left, response}) // clone, so that the whole request line is freed
	return response
}

// Describe answers in the form of version 3, in which every value is a string.
func (s *Server) Describe(r *http.Request) (wire.Response, error) {
	return s.describe(r, &s.current)
}

// DescribeOld answers in the form of versions 1 and 2, with the names of OAuth 2.0 drafts.
func (s *Server) DescribeOld(r *http.Request) (wire.Response, error) {
	return s.describe(r, &s.old)
}

// describe answers with the claims of an ID token, or with the description of an access token in a form.
func (s *Server) describe(r *http.Request, form *form) (wire.Response, error) {
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
	return form.describe(access, known, known.Expires-s.now().Unix()), nil
}

func accessInfoOf(known token.Access, left int64) any {
	info := accessInfo{
		AuthorizedParty: party(known),
		Audience:        party(known),
		Scope:           strings.Join(known.Scopes, " "),
		Expires:         strconv.FormatInt(known.Expires, 10),
		ExpiresIn:       strconv.FormatInt(left, 10),
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

func oldAccessInfoOf(known token.Access, left int64) any {
	info := oldAccessInfo{
		IssuedTo:   party(known),
		Audience:   party(known),
		Scope:      strings.Join(known.Scopes, " "),
		ExpiresIn:  left,
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
