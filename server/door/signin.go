package door

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/ingress"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// SignIn is the way in for people.
type SignIn struct {
	Page   http.Handler // an authorization endpoint
	Redeem func(ctx context.Context, code, client, redirectURI string) (*world.User, error)
}

// nonceCookie begins the name of the cookie that binds a sign-in to its browser.
const nonceCookie = "GCP_IAP_XSRF_NONCE_"

// stateForm returns the form of sealed states.
func stateForm() token.Form { return token.Form{Prefix: "iap-state-"} }

// nothing is the shared part of a sealed text without one.
type nothing struct{}

const signInLifetime = 10 * time.Minute

// state is the door's memory of a sign-in until the browser comes back. The browser carries it,
// sealed.
type state struct {
	Service string `json:"service"`
	Target  string `json:"target"` // the path and the query that the browser wanted
	Nonce   string `json:"nonce"`
	Expires int64  `json:"exp"` // Unix seconds
}

// beginSignIn completes a refusal that sends the browser to the sign-in page.
func (d *Doors) beginSignIn(r *http.Request, at ingress.Door, refusal *ingress.Refusal) error {
	const nonceBytes = 16 // 22 letters, as the real proxy has
	random := make([]byte, nonceBytes)
	_, _ = rand.Read(random) // never fails
	nonce := base64.RawURLEncoding.EncodeToString(random)
	text, err := d.config.Issuer.Seal(stateForm(), state{at.Service.Name, targetOf(r), nonce, at.Now.Add(signInLifetime).Unix()}, nothing{})
	if err != nil {
		return err
	}
	base := baseOf(r, at.Service)
	query := url.Values{
		"client_id": {at.World.IAPClient()}, "redirect_uri": {base + world.IAPCallback}, "response_type": {"code"},
		"scope": {"openid email"}, "state": {text}, "prompt": {"select_account"},
	}
	page := base + signInPath
	if slices.Contains(at.Service.URLs, base) {
		page = "https://accounts.google.com/o/oauth2/v2/auth"
	}
	cookie := cookieAt(base, nonceCookie+nonce, "1", signInLifetime)
	refusal.Header = append(refusal.Header,
		ingress.Field{Name: "Location", Value: page + "?" + query.Encode()}, ingress.Field{Name: "Set-Cookie", Value: cookie.String()})
	return nil
}

// baseOf returns the base URL at which a browser reaches a door. If a caller uses a URL of the
// service, it uses TLS, which ends before the door.
func baseOf(r *http.Request, service *world.Service) string {
	if public := "https://" + strings.ToLower(r.Host); r.TLS != nil || slices.Contains(service.URLs, public) {
		return public
	}
	return "http://" + r.Host
}

// cookie returns a cookie of the door. A negative lifetime removes it.
func cookieAt(base, name, value string, lifetime time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(lifetime.Seconds()), HttpOnly: true,
		Secure: strings.HasPrefix(base, "https:"), SameSite: http.SameSiteLaxMode,
	}
}

// targetOf returns the path and the query to which a sign-in leads back. It leaves out the mode that
// starts a sign-in, because it would start it again.
func targetOf(r *http.Request) string {
	if modeOf(r) != forceLogin {
		return wire.Target(r)
	}
	query := r.URL.Query()
	query.Del(modeParameter)
	if len(query) == 0 {
		return pathOf(r)
	}
	return pathOf(r) + "?" + query.Encode()
}

// endSignIn handles a browser that comes back from the sign-in page.
func (d *Doors) endSignIn(w *watched, at ingress.Door) {
	r, query := w.request, w.request.URL.Query()
	var begun state
	if err := d.config.Issuer.Open(stateForm(), query.Get("state"), &begun, &nothing{}); err != nil || begun.Service != at.Service.Name {
		w.refuse(iap.Unfinished("the sign-in was not begun at this service"))
		return
	}
	bound, err := r.Cookie(nonceCookie + begun.Nonce)
	switch {
	case err != nil || bound.Value != "1":
		w.refuse(iap.Unfinished("the sign-in was begun in another browser, or the browser has dropped the cookie"))
		return
	case at.Now.Unix() >= begun.Expires:
		w.refuse(iap.Unfinished("the sign-in has taken longer than " + signInLifetime.String()))
		return
	case query.Get("code") == "":
		w.refuse(iap.Unfinished("the sign-in page has answered " + query.Get("error") + ": " + query.Get("error_description")))
		return
	}
	base := baseOf(r, at.Service)
	user, err := d.config.SignIn.Redeem(r.Context(), query.Get("code"), at.World.IAPClient(), base+world.IAPCallback)
	if _, lost := wire.Unavailable(err); lost {
		w.refuse(broken(err))
		return
	}
	if err != nil {
		w.refuse(iap.Unfinished("the code from the sign-in page cannot be used: " + err.Error()))
		return
	}
	text, err := d.config.Issuer.Seal(sessionForm(), session{at.Service.Name, user.UniqueID, at.Now.Add(sessionLifetime).Unix()}, nothing{})
	if err != nil {
		w.refuse(broken(err))
		return
	}
	http.SetCookie(w, cookieAt(base, bound.Name, "", -time.Second))
	http.SetCookie(w, cookieAt(base, sessionCookie(at.Service.Name), text, sessionLifetime))
	w.redirect(base + begun.Target)
}
