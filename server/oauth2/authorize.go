package oauth2

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// Authorize handles the authorization endpoint (RFC 6749, section 4.1.1;
// https://developers.google.com/identity/protocols/oauth2/web-server#creatingclient). A browser
// gets a page to choose a user, unless the request has prompt=none. Every other client is
// answered at once for the user in login_hint, or without a hint for the fixture's first user.
// With prompt=none and several users, a hint is required. A web page of another site
// gets nothing without a person's click on the page, if the browser says that such a page has asked
// ([wire.IsForeign]).
func (s *Server) Authorize(r *http.Request) (wire.Response, error) {
	current := s.worlds.Load().State
	parameters, choice, err := readRequest(r)
	if err != nil {
		return wire.Response{}, err
	}
	back, err := readDestination(current, parameters)
	if refusal, ok := errors.AsType[*oauthapi.Error](err); ok {
		return refusalPage(refusal), nil
	}
	answer, err := s.authorize(r, current, back, request{parameters: parameters, choice: choice})
	if refusal, ok := errors.AsType[*oauthapi.Error](err); ok {
		answer, err = back.send(url.Values{"error": {refusal.Code}, "error_description": {refusal.Description}}), nil
		answer.Refusal = new(refusal.Refusal())
	}
	return answer, err
}

// request holds the parameters of an authorization request and the choice made on the page.
type request struct {
	parameters url.Values
	choice     choice
}

// authorize answers a request with a valid redirect URI. The caller must send an *oauthapi.Error to
// this URI.
func (s *Server) authorize(r *http.Request, w *world.World, back destination, asked request) (wire.Response, error) {
	wanted, err := readAuthorization(asked.parameters)
	if err != nil {
		return wire.Response{}, err
	}
	isForeign := asked.choice == (choice{}) && wire.IsForeign(r)
	if isForeign && wanted.silent {
		return wire.Response{}, foreign(oauthapi.NewError(oauthapi.InteractionRequired, "The user must choose on the page."),
			"a web page of another site has asked with prompt=none")
	}
	if asked.choice == (choice{}) && !wanted.silent && (isForeign || wantsPage(r)) {
		return consentPage(w, back.client.ID, wanted, r.URL.EscapedPath()+"?"+asked.parameters.Encode()), nil
	}
	user, err := asked.choice.user(w, wanted)
	if err != nil {
		return wire.Response{}, err
	}
	granted := token.ForUser(user, back.client.ID, wanted.scopes)
	granted.Offline = wanted.offline
	text, err := s.seal(granted, back.redirectURI, wanted)
	if err != nil {
		return wire.Response{}, err
	}
	return back.send(url.Values{
		"code": {text}, "scope": {strings.Join(wanted.scopes, " ")}, "authuser": {"0"}, "prompt": {"consent"},
	}), nil
}

// wantsPage reports whether r comes from a browser, that is, whether it accepts HTML.
func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// readRequest reads the parameters of an authorization request and the choice that the page adds.
// The parameters may also be in the body (OpenID Connect Core 1.0, section 3.1.2.1).
func readRequest(r *http.Request) (url.Values, choice, error) {
	parameters := r.URL.Query()
	if r.Method != http.MethodPost {
		return parameters, choice{}, nil
	}
	form, err := oauthapi.ReadForm(r)
	if err != nil {
		return nil, choice{}, err
	}
	made := readChoice(form)
	maps.DeleteFunc(form, func(name string, _ []string) bool { return isChoice(name) || parameters.Has(name) })
	maps.Copy(parameters, form)
	if made != (choice{}) {
		err = checkOrigin(r)
	}
	return parameters, made, err
}

// destination describes where to send the answer to an authorization request.
type destination struct {
	client      *world.OAuthClient
	redirectURI string
	state       string
}

// readDestination checks the client and its redirect URI. Until both are valid, no error may be
// sent to the redirect URI (RFC 6749, section 4.1.2.1). Every error is an *oauthapi.Error.
func readDestination(w *world.World, parameters url.Values) (destination, error) {
	if parameters.Get("client_id") == "" {
		return destination{}, oauthapi.Missing("client_id")
	}
	client, err := findClient(w, parameters.Get("client_id"))
	if err != nil {
		return destination{}, err
	}
	uri := parameters.Get("redirect_uri")
	switch {
	case uri == "":
		return destination{}, oauthapi.Missing("redirect_uri")
	case client.MayRedirectTo(uri), len(client.RedirectURIs) == 0 && isShown(uri):
		return destination{client: client, redirectURI: uri, state: parameters.Get("state")}, nil
	default:
		return destination{}, oauthapi.NewError(oauthapi.RedirectURIMismatch,
			"The redirect URI in the request, "+uri+", does not match the ones authorized for the OAuth client. "+
				"If the fixture lists none for the client, only URIs on this machine are allowed.")
	}
}

// isShown reports whether no program listens at uri. A page then shows the code, and the user
// copies it by hand. Two of the URIs are pages of gcloud that do the same.
func isShown(uri string) bool {
	return slices.Contains([]string{
		"urn:ietf:wg:oauth:2.0:oob",
		"urn:ietf:wg:oauth:2.0:oob:auto",
		"https://sdk.cloud.google.com/authcode.html",
		"https://sdk.cloud.google.com/applicationdefaultauthcode.html",
	}, uri)
}

// send redirects the browser to the client with answer, or shows answer on a page.
func (d destination) send(answer url.Values) wire.Response {
	if isShown(d.redirectURI) {
		return answerPage(answer)
	}
	if d.state != "" {
		answer.Set("state", d.state)
	}
	joint := "?"
	if strings.Contains(d.redirectURI, "?") {
		joint = "&"
	}
	return wire.Response{
		Status: http.StatusFound,
		Header: []wire.Field{{Name: "Location", Value: d.redirectURI + joint + answer.Encode()}},
	}
}

// authorization holds the parameters of an authorization request that concern the user.
type authorization struct {
	scopes    []string
	nonce     string
	challenge challenge
	hint      string // the user's e-mail address or unique ID
	silent    bool   // the user must not be asked (prompt=none)
	offline   bool   // the client also gets a refresh token
}

func readAuthorization(parameters url.Values) (authorization, error) {
	wanted := authorization{
		nonce:   parameters.Get("nonce"),
		hint:    parameters.Get("login_hint"),
		offline: parameters.Get("access_type") == "offline",
	}
	switch kind := parameters.Get("response_type"); kind {
	case "code":
	case "":
		return wanted, oauthapi.Missing("response_type")
	default:
		return wanted, oauthapi.NewError(oauthapi.UnsupportedResponseType, "Invalid response_type: "+kind)
	}
	var err error
	if wanted.scopes, err = readScopes(parameters.Get("scope")); err != nil {
		return wanted, err
	}
	if wanted.silent, err = readPrompt(parameters.Get("prompt")); err != nil {
		return wanted, err
	}
	wanted.challenge, err = readChallenge(parameters.Get("code_challenge"), parameters.Get("code_challenge_method"))
	return wanted, err
}

// readPrompt reads the parameter prompt. silent is true for prompt=none: the user must not be
// asked (OpenID Connect Core 1.0, section 3.1.2.1).
func readPrompt(prompt string) (silent bool, err error) {
	const none = "none"
	prompts := strings.Fields(prompt)
	silent = slices.Contains(prompts, none)
	isUnknown := func(name string) bool { return !slices.Contains([]string{none, "consent", "select_account"}, name) }
	if slices.ContainsFunc(prompts, isUnknown) || silent && len(prompts) > 1 {
		return false, oauthapi.NewError(oauthapi.InvalidRequest, "Invalid parameter value for prompt: Invalid prompt: "+prompt)
	}
	return silent, nil
}

// readChallenge reads the PKCE challenge. The default method is plain (RFC 7636, section 4.3).
func readChallenge(text, method string) (challenge, error) {
	switch {
	case text == "":
		return challenge{}, nil
	case method == "", method == challengePlain:
		return challenge{Text: digestOf(text)}, nil
	case method == challengeS256:
		return challenge{Text: digestOf(text), IsS256: true}, nil
	default:
		return challenge{}, oauthapi.NewError(oauthapi.InvalidRequest, "Invalid parameter value for code_challenge_method: "+method)
	}
}

// readScopes returns the canonical names of the scopes that the user is asked to grant.
func readScopes(scope string) ([]string, error) {
	scopes := strings.Fields(scope)
	if len(scopes) == 0 {
		return nil, oauthapi.Missing("scope")
	}
	for _, scope := range scopes {
		if !oauthapi.IsScope(scope) {
			return nil, oauthapi.NewError(oauthapi.InvalidScope, "Some requested scopes were invalid. {invalid=["+scope+"]}")
		}
	}
	return oauthapi.UserScopes(scopes), nil
}
