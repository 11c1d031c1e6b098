// Package realcredentials refuses credentials that Google may have issued.
//
// A program that reaches the emulator through the proxy addresses Google, and may have credentials
// of a real account. If it sends them here, this is an accident: the package refuses the request
// and warns the user. The surfaces, which decide on valid credentials, never see these.
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
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/store"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/signer"
)

// Guard checks the credentials of requests through the proxy.
type Guard struct {
	worlds *store.Store[*world.World]
	keys   *keys.Ring
	issuer *token.Issuer
	logger *slog.Logger
}

// New returns a guard for the accounts, keys and tokens of an emulator.
func New(worlds *store.Store[*world.World], ring *keys.Ring, issuer *token.Issuer, logger *slog.Logger) *Guard {
	return &Guard{worlds: worlds, keys: ring, issuer: issuer, logger: logger}
}

// API guards a method of a Google API. Its credential is a bearer token.
func (g *Guard) API(handle wire.Handler) wire.Handler {
	return func(r *http.Request) (wire.Response, error) {
		if wire.IsProxied(r.Context()) {
			if problem, err := g.find(r, bearer(r)); problem != "" || err != nil {
				return wire.Response{}, errors.Join(err, refusal(problem, denied))
			}
		}
		return handle(r)
	}
}

// OAuth guards an OAuth 2.0 endpoint. Its credentials are parameters.
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

// RPC guards an API in gRPC. A refusal has only a status
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). The function refused is told of it.
func (g *Guard) RPC(next http.Handler, refused func(*http.Request, wire.Response)) http.Handler {
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
		default:
			refused(r, wire.Response{Status: http.StatusForbidden, Refusal: new(why(problem))})
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", code)
		w.Header().Set("Grpc-Message", url.PathEscape(problem))
		w.WriteHeader(http.StatusOK)
	})
}

// denied returns a Google API's error for a refused client.
func denied(message string) *googleapi.Error {
	return googleapi.PermissionDenied(message).Because(why(message))
}

func why(message string) journal.Refusal {
	return journal.Refusal{
		Code: reason.RealGoogle, Reason: message,
		Hint: "remove the credential from the program, or use a credential of the emulator",
	}
}

// forbidden returns an OAuth 2.0 endpoint's error for a refused client.
func forbidden(message string) *oauthapi.Error {
	refused := &oauthapi.Error{Status: http.StatusForbidden, Code: oauthapi.AccessDenied, Description: message}
	return refused.BecauseOf(why(message))
}

// refusal returns an error for a problem, or nil if the problem is empty.
func refusal[E error](problem string, dialect func(string) E) error {
	if problem == "" {
		return nil
	}
	return dialect(problem)
}

// find returns a message about the first real-looking credential, or "". It logs a warning too.
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
		program = journal.Redacted(program)
		g.logger.WarnContext(r.Context(), "a program sent a credential that looks real, and was refused",
			"program", program, "credential", what, "host", r.Host, "path", journal.Redacted(r.URL.Path), "client", r.RemoteAddr)
		return fmt.Sprintf("The emulator, which is your proxy, refuses a credential that looks real: %s, sent by %q. "+
			"Remove it from the program, or use a credential of the emulator.", what, program), nil
	}
	return "", nil
}

// looksReal describes a credential if Google, but not this emulator, may have issued it. It
// returns "" for any other credential. The description never contains the credential.
func (g *Guard) looksReal(credential string) (string, error) {
	switch {
	case token.IsAccess(credential):
		_, err := g.issuer.Recognise(credential)
		return unknown("an access token", err)
	case token.IsRefresh(credential):
		_, err := g.issuer.RecogniseRefresh(credential)
		return unknown("a refresh token", err)
	}
	parsed, err := signer.ParseAssertion(credential)
	if err != nil {
		return "", nil //nolint:nilerr // a text that is not a JWT cannot be a real credential
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
			return "", nil // the account has been deleted, or its fixture was replaced
		}
	}
	return fmt.Sprintf("an assertion of %q, an account that the fixture does not have", issuer), nil
}

// unknown describes a token that the emulator has not issued. err is the error of its
// recognition.
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

// isAccount reports whether the issuer of an assertion is a service account, by e-mail address
// or unique ID.
func isAccount(issuer string) bool {
	return world.IsUniqueID(issuer) || strings.HasSuffix(strings.ToLower(issuer), "gserviceaccount.com")
}

// bearer returns the possible bearer tokens of a request.
func bearer(r *http.Request) []string {
	_, authorization, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return []string{strings.TrimSpace(authorization), oauthapi.ReadQuery(r).Get("access_token")}
}

// parameters returns the credentials in the query and the body of a request. The body can be
// read again.
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
	query := oauthapi.ReadQuery(r)
	var credentials []string
	for _, name := range oauthapi.TokenParameters() {
		credentials = append(credentials, form[name]...)
		credentials = append(credentials, query[name]...)
	}
	return credentials, nil
}
