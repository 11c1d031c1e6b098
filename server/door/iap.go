package door

import (
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/iap"
	"gcp-metadata-emulator/server/ingress"
)

const (
	proxyAuthorization = "Proxy-Authorization"
	modeParameter      = "gcp-iap-mode"
)

// decide decides about a request.
func (d *Doors) decide(r *http.Request, at ingress.Door) ingress.Verdict {
	known := d.facts(r, at.Service)
	if !iap.Guards(at.Service) {
		return ingress.Decide(known, at)
	}
	asked := d.proxied(r, known, at)
	verdict := iap.Decide(asked, at)
	if err := d.complete(r, at, &verdict); err != nil {
		verdict.Refusal = broken(err)
	}
	return verdict.Verdict
}

// complete adds the parts of a verdict that need the emulator's keys.
func (d *Doors) complete(r *http.Request, at ingress.Door, verdict *iap.Verdict) error {
	switch {
	case verdict.SignsIn:
		return d.beginSignIn(r, at, verdict.Refusal)
	case verdict.Refusal != nil:
		return nil
	}
	fields, err := verdict.Fields(r.Context(), d.config.Issuer, at)
	verdict.Header = append(verdict.Header, fields...)
	return err
}

// proxied returns the parts of a request on which the decision of Identity-Aware Proxy depends.
func (d *Doors) proxied(r *http.Request, known ingress.Request, at ingress.Door) iap.Request {
	asked := iap.Request{
		Request: known, Proxy: r.Header[proxyAuthorization], Session: d.sessionOf(r, at), FollowsRedirects: followsRedirects(r),
	}
	if modeOf(r) == "SECURE_TOKEN_TEST" {
		asked.Test = r.URL.Query().Get("iap-secure-token-test-type")
	}
	return asked
}

// modeOf returns the mode in the query of a request, with which people try the proxy
// (https://cloud.google.com/iap/docs/query-parameters-and-headers-howto).
func modeOf(r *http.Request) string {
	if !strings.Contains(r.URL.RawQuery, modeParameter) {
		return ""
	}
	return r.URL.Query().Get(modeParameter)
}

// followsRedirects reports whether a client can be sent to a sign-in page
// (https://cloud.google.com/iap/docs/faq#what_can_i_do_if_my_ajax_requests_fail).
func followsRedirects(r *http.Request) bool {
	accept := strings.Join(r.Header["Accept"], ",")
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		!strings.EqualFold(r.Header.Get("X-Requested-With"), "XMLHttpRequest") &&
		(accept == "" || strings.Contains(accept, "text/html") || strings.Contains(accept, "*/*"))
}
