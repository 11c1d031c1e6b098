// Package realcredentials refuses credentials that look as if Google had issued them.
//
// A program that reaches the emulator by proxy means Google, and may hold credentials of a
// real account. That they are sent here is an accident: nothing must come of it, and somebody
// has to be told. Which credentials are good is for the surfaces to say; they never see these.
package realcredentials

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/server/googleapi"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Guard looks at the credentials of requests that came by way of the proxy.
type Guard struct {
	worlds *store.Store[*world.World]
	keys   *keys.Ring
	issuer *token.Issuer
	logger *slog.Logger
}

// New is a guard that knows the accounts, keys and tokens of an emulator.
func New(worlds *store.Store[*world.World], ring *keys.Ring, issuer *token.Issuer, logger *slog.Logger) *Guard {
	return &Guard{worlds: worlds, keys: ring, issuer: issuer, logger: logger}
}

// API guards a method of a Google API, which takes a bearer token.
func (g *Guard) API(handle wire.Handler) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
		if wire.IsProxied(r.Context()) {
			if problem, err := g.find(r, bearer(r)); problem != "" || err != nil {
				return wire.Response{}, errors.Join(err, refusal(problem, googleapi.PermissionDenied))
			}
		}
		return handle(r)
	}
}

// OAuth guards an OAuth 2.0 endpoint, which takes credentials as parameters.
func (g *Guard) OAuth(handle wire.Handler) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
		if wire.IsProxied(r.Context()) {
			credentials, err := parameters(r)
			if err != nil {
				return wire.Response{}, err
			}
			if problem, err := g.find(r, append(credentials, bearer(r)...)); problem != "" || err != nil {
				return wire.Response{}, errors.Join(err, refusal(problem, forbidden))
			}
		}
		return handle(r)
	}
}

// RPC guards an API in gRPC, where an answer is a status and nothing else
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
func (g *Guard) RPC(next http.Handler) http.Handler {
	const permissionDenied, internal = "7", "13" // of google.rpc.Code
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var problem string
		var err error
		if wire.IsProxied(r.Context()) {
			problem, err = g.find(r, bearer(r))
		}
		code := permissionDenied
		switch {
		case err != nil:
			g.logger.ErrorContext(r.Context(), "call failed", "path", r.URL.Path, "error", err)
			code, problem = internal, "Internal error encountered."
		case problem == "":
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", code)
		w.Header().Set("Grpc-Message", url.PathEscape(problem))
		w.WriteHeader(http.StatusOK)
	})
}

// forbidden is the error of an OAuth 2.0 endpoint that refuses its client.
func forbidden(message string) *oauthapi.Error {
	return &oauthapi.Error{Status: http.StatusForbidden, Code: oauthapi.AccessDenied, Description: message}
}

// refusal is the error that says what was found; nil: nothing.
func refusal[E error](problem string, dialect func(string) E) error {
	if problem == "" {
		return nil
	}
	return dialect(problem)
}

// find says what is wrong with one of the credentials of a request; empty: nothing.
func (g *Guard) find(r *http.Request, credentials []string) (string, error) {
	for _, credential := range credentials {
		what, err := g.looksReal(credential)
		if err != nil {
			return "", err
		}
		if what == "" {
			continue
		}
		program := r.UserAgent()
		if library := r.Header.Get("X-Goog-Api-Client"); library != "" {
			program += " (" + library + ")"
		}
		g.logger.WarnContext(r.Context(), "a program sent a credential that looks real, and was refused",
			"program", program, "credential", what, "host", r.Host, "path", r.URL.Path, "client", r.RemoteAddr)
		return fmt.Sprintf("The emulator, which is your proxy, refuses a credential that looks real: %s, sent by %q. "+
			"Take it away from the program, or give it one of the emulator's.", what, program), nil
	}
	return "", nil
}

// looksReal says what a credential is that this emulator has not issued and that Google may
// have; empty: it is another one. It never says the credential itself.
func (g *Guard) looksReal(credential string) (string, error) {
	switch {
	case token.IsAccess(credential):
		_, err := g.issuer.Recognise(credential)
		return unknown("an access token", err)
	case token.IsRefresh(credential):
		_, err := g.issuer.RecogniseRefresh(credential)
		return unknown("a refresh token", err)
	}
	parsed, err := signer.Parse(credential)
	if err != nil {
		return "", nil //nolint:nilerr // what is no JWT is nothing that could be real
	}
	issuer, _ := parsed.Claims["iss"].(string)
	if _, known := g.worlds.Load().State.Account(issuer); known || !isAccount(issuer) {
		return "", nil
	}
	made, err := g.keys.Made(issuer)
	if err != nil {
		return "", fmt.Errorf("read the keys of %q: %w", issuer, err)
	}
	for _, key := range made {
		if parsed.SignedBy(key.Public()) {
			return "", nil // of an account that there was
		}
	}
	return fmt.Sprintf("an assertion of %q, an account that the fixture does not have", issuer), nil
}

// unknown says that a token is none of the emulator's, where recognising it has failed so.
func unknown(what string, err error) (string, error) {
	switch {
	case errors.Is(err, token.ErrUnknown):
		return what + " that the emulator has not issued", nil
	case err == nil, token.IsRefusal(err):
		return "", nil
	default:
		return "", err
	}
}

// isAccount tells whether the issuer of an assertion is a service account, by its e-mail
// address or its unique ID.
func isAccount(issuer string) bool {
	isNumber := issuer != "" && strings.Trim(issuer, "0123456789") == ""
	return isNumber || strings.HasSuffix(strings.ToLower(issuer), "gserviceaccount.com")
}

// bearer is the token that a request is made with.
func bearer(r *http.Request) []string {
	_, authorization, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return []string{strings.TrimSpace(authorization), r.URL.Query().Get("access_token")}
}

// parameters are the credentials in the query and in the body of a request, which stays to be read.
func parameters(r *http.Request) ([]string, error) {
	body, err := wire.ReadBody(r)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := oauthapi.ReadForm(r)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	query := r.URL.Query()
	var credentials []string
	for _, name := range []string{"assertion", "access_token", "refresh_token", "token", "subject_token"} {
		credentials = append(credentials, form[name]...)
		credentials = append(credentials, query[name]...)
	}
	return credentials, nil
}
