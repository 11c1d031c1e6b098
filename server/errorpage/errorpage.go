// Package errorpage is what Google's front ends add to every server behind them: the header of
// API answers, and the HTML error pages that the metadata server and every API answer with
// when a request does not get as far as a method.
package errorpage

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"strings"

	"gcp-metadata-emulator/server/wire"
)

// ContentType is the content type of every page.
const ContentType = "text/html; charset=UTF-8"

// template has two spaces before the last <ins>, where a page explains a URL, by way of
// the message's final space.
const template = `<!DOCTYPE html>
<html lang=en>
  <meta charset=utf-8>
  <meta name=viewport content="initial-scale=1, minimum-scale=1, width=device-width">
  <title>Error %[1]d (%[2]s)!!1</title>
  <style>
    *{margin:0;padding:0}html,code{font:15px/22px arial,sans-serif}html{background:#fff;color:#222;padding:15px}body{margin:7%% auto 0;max-width:390px;min-height:180px;padding:30px 0 15px}* > body{background:url(//www.google.com/images/errors/robot.png) 100%% 5px no-repeat;padding-right:205px}p{margin:11px 0 22px;overflow:hidden}ins{color:#777;text-decoration:none}a img{border:0}@media screen and (max-width:772px){body{background:none;margin-top:0;max-width:none;padding-right:0}}#logo{background:url(//www.google.com/images/branding/googlelogo/1x/googlelogo_color_150x54dp.png) no-repeat;margin-left:-5px}@media only screen and (min-resolution:192dpi){#logo{background:url(//www.google.com/images/branding/googlelogo/2x/googlelogo_color_150x54dp.png) no-repeat 0%% 0%%/100%% 100%%;-moz-border-image:url(//www.google.com/images/branding/googlelogo/2x/googlelogo_color_150x54dp.png) 0}}@media only screen and (-webkit-min-device-pixel-ratio:2){#logo{background:url(//www.google.com/images/branding/googlelogo/2x/googlelogo_color_150x54dp.png) no-repeat;-webkit-background-size:100%% 100%%}}#logo{display:inline-block;height:54px;width:150px}
  </style>
  <a href=//www.google.com/><span id=logo aria-label=Google></span></a>
  <p><b>%[1]d.</b> <ins>That’s an error.</ins>
  <p>%[3]s <ins>That’s all we know.</ins>
`

// FrontEnd is the header that the front ends put on every answer of an API.
func FrontEnd() []wire.Field {
	return []wire.Field{
		{Name: "Server", Value: "scaffolding on HTTPServer2"},
		{Name: "Vary", Value: "Origin"},
		{Name: "Vary", Value: "X-Origin"},
		{Name: "Vary", Value: "Referer"},
		{Name: "X-Content-Type-Options", Value: "nosniff"},
		{Name: "X-Frame-Options", Value: "SAMEORIGIN"},
		{Name: "X-XSS-Protection", Value: "0"},
	}
}

// Page is an error page. The message is HTML, without the final sentence.
func Page(status int, message string) wire.Response {
	return wire.Response{
		Status:      status,
		ContentType: ContentType,
		Body:        fmt.Sprintf(template, status, http.StatusText(status), message),
	}
}

// NotFound says that there is nothing at the request's URL.
func NotFound(r *http.Request) wire.Response {
	return Page(http.StatusNotFound,
		fmt.Sprintf("The requested URL <code>%s</code> was not found on this server. ", target(r)))
}

// Forbidden says that the client may not have the request's URL, and why.
func Forbidden(r *http.Request, reason string) wire.Response {
	if reason != "" {
		reason = " " + reason
	}
	return Page(http.StatusForbidden,
		fmt.Sprintf("Your client does not have permission to get URL <code>%s</code> from this server.%s", target(r), reason))
}

// MethodNotAllowed says that the request's method cannot be used with its URL.
func MethodNotAllowed(r *http.Request) wire.Response {
	return Page(http.StatusMethodNotAllowed,
		fmt.Sprintf("The request method <code>%s</code> is inappropriate for the URL <code>%s</code>. ",
			html.EscapeString(r.Method), target(r)))
}

// BadRequest says that the request makes no sense.
func BadRequest() wire.Response {
	return Page(http.StatusBadRequest, "Your client has issued a malformed or illegal request. ")
}

// TooLarge says that the request's body is larger than the server reads.
func TooLarge() wire.Response {
	return Page(http.StatusRequestEntityTooLarge, "Your client issued a request that was too large. ")
}

// InternalError says that the fault is the server's.
func InternalError() wire.Response {
	return Page(http.StatusInternalServerError,
		"The server encountered an error and could not complete your request.<p>Please try again in 30 seconds. ")
}

// Unavailable says that the server cannot answer now.
func Unavailable() wire.Response {
	return Page(http.StatusServiceUnavailable,
		"The service you requested is not available at this time.<p>Service error -27. ")
}

// Status is the page with which the front ends send a status when they say no more.
func Status(r *http.Request, status int) wire.Response {
	switch status {
	case http.StatusBadRequest:
		return BadRequest()
	case http.StatusForbidden:
		return Forbidden(r, "")
	case http.StatusNotFound:
		return NotFound(r)
	case http.StatusMethodNotAllowed:
		return MethodNotAllowed(r)
	case http.StatusRequestEntityTooLarge:
		return TooLarge()
	case http.StatusTooManyRequests:
		return Page(status, "We're sorry, but you have sent too many requests to us recently. Please try again later. ")
	case http.StatusInternalServerError:
		return InternalError()
	case http.StatusServiceUnavailable:
		return Unavailable()
	default:
		return Page(status, "")
	}
}

// Error writes the errors that every dialect must know as pages.
func Error(r *http.Request, err error) wire.Response {
	if bare, ok := errors.AsType[*wire.StatusError](err); ok {
		return Status(r, bare.Status)
	}
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		return TooLarge()
	case errors.Is(err, wire.ErrUnread):
		return BadRequest()
	case errors.Is(err, wire.ErrStopping):
		return Unavailable()
	default:
		return InternalError()
	}
}

// target is the request's URL as the page shows it: path and query, as they were sent. What
// was sent to a proxy has the server before them.
func target(r *http.Request) string {
	sent := r.RequestURI
	if _, rest, absolute := strings.Cut(sent, "://"); absolute && !strings.HasPrefix(sent, "/") {
		if slash := strings.IndexByte(rest, '/'); slash >= 0 {
			return html.EscapeString(rest[slash:])
		}
	}
	if !strings.HasPrefix(sent, "/") { // "*", or a request that was not read from a connection
		sent = r.URL.RequestURI()
	}
	return html.EscapeString(sent)
}
