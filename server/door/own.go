package door

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// The paths of Identity-Aware Proxy at every door that it guards
// (https://cloud.google.com/iap/docs/sessions-howto).
const (
	proxyPaths    = "/_gcp_iap/"
	signInPath    = proxyPaths + "sign_in" // the emulator's own, for browsers that do not reach accounts.google.com
	identityPath  = proxyPaths + "identity"
	clearPath     = proxyPaths + "clear_login_cookie"
	refreshPath   = proxyPaths + "do_session_refresh"
	refresherPath = proxyPaths + "session_refresher"
)

// The modes in the query that do the same as paths.
const (
	identityMode = "IDENTITY"
	clearMode    = "CLEAR_LOGIN_COOKIE"
	forceLogin   = "FORCE_LOGIN"
)

// ownAnswer returns a function that answers a request for Identity-Aware Proxy itself, or nil.
func (d *Doors) ownAnswer(r *http.Request, at ingress.Door) func(*watched) {
	if !iap.Guards(at.Service) || at.Closed(d.facts(r, at.Service)) != nil {
		return nil
	}
	path, mode := pathOf(r), modeOf(r)
	answer := func(handle func(*watched, ingress.Door)) func(*watched) {
		return func(w *watched) { handle(w, at) }
	}
	switch {
	case path == identityPath, mode == identityMode:
		return answer(d.identity)
	case path == clearPath, mode == clearMode:
		return answer(d.clear)
	case path == refreshPath, path == refresherPath, mode == forceLogin:
		return answer(d.refresh)
	case d.config.SignIn.Page != nil && path == signInPath:
		return answer(func(w *watched, _ ingress.Door) { d.config.SignIn.Page.ServeHTTP(w, w.request) })
	case d.config.SignIn.Page != nil && path == world.IAPCallback:
		return answer(d.endSignIn)
	case strings.HasPrefix(path, proxyPaths), path == world.IAPCallback:
		return answer(func(w *watched, _ ingress.Door) { w.refuse(iap.NoPath(path)) })
	}
	return nil
}

// identity answers with the caller's names.
func (d *Doors) identity(w *watched, at ingress.Door) {
	asked := d.proxied(w.request, d.facts(w.request, at.Service), at)
	email, subject, ok := iap.Decide(asked, at).Identity()
	if !ok {
		w.refuse(iap.NoIdentity())
		return
	}
	body, err := json.Marshal(struct {
		Email   string `json:"email"`
		Subject string `json:"sub"`
	}{email, subject})
	if err != nil {
		w.refuse(broken(err))
		return
	}
	w.Header()["X-Goog-Iap-Generated-Response"] = []string{"true"}
	write(w, http.StatusOK, "application/json", string(body))
}

// clear ends the session of a browser. A web page of another site cannot do so without a click.
func (d *Doors) clear(w *watched, at ingress.Door) {
	if wire.IsForeign(w.request) && w.request.Header.Get("Sec-Fetch-User") != "?1" {
		w.refuse(iap.NoClick())
		return
	}
	base := baseOf(w.request, at.Service)
	http.SetCookie(w, cookieAt(base, sessionCookie(at.Service.Name), "", -time.Second))
	w.redirect(base + "/")
}

// refresh makes a person sign in, also during a session. The page of the refresher stays open in a
// frame or a window while the session lasts.
func (d *Doors) refresh(w *watched, at ingress.Door) {
	r := w.request
	if pathOf(r) == refresherPath && d.sessionOf(r, at) != "" {
		w.Header()["X-Goog-Iap-Generated-Response"] = []string{"true"}
		write(w, http.StatusOK, "text/html", "The session is valid.")
		return
	}
	refusal := iap.Decide(iap.Request{FollowsRedirects: true}, at).Refusal
	if refusal == nil || refusal.Status != http.StatusFound { // everybody may access the service
		w.redirect(baseOf(r, at.Service) + "/")
		return
	}
	if err := d.beginSignIn(r, at, refusal); err != nil {
		refusal = broken(err)
	}
	w.refuse(refusal)
}

// refuse answers with a refusal.
func (w *watched) refuse(refusal *ingress.Refusal) {
	w.noted = true // the door notes it
	w.doors.refuse(w.ResponseWriter, w.request, w.passage, refusal)
}

// redirect sends a browser to a URL.
func (w *watched) redirect(to string) {
	w.Header()["X-Goog-Iap-Generated-Response"], w.Header()["Location"] = []string{"true"}, []string{to}
	write(w, http.StatusFound, "text/html", "")
}

// broken returns the answer if the emulator cannot use its keys, or the store that replicas share.
func broken(err error) *ingress.Refusal {
	if refused, ok := wire.Unavailable(err); ok {
		why := refused.Refusal()
		return &ingress.Refusal{Status: http.StatusServiceUnavailable, Reason: ingress.Reason{Code: why.Code, Sentence: why.Reason, Hint: why.Hint}}
	}
	return &ingress.Refusal{Status: http.StatusInternalServerError, Reason: ingress.Reason{Sentence: err.Error()}}
}
