package oauth2

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"

	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

// The pages have no scripts and load no other files.

const frame = `<!DOCTYPE html>
<html lang=en>
  <meta charset=utf-8>
  <meta name=viewport content="width=device-width">
  <title>%s</title>
  <style>body{font:16px/1.5 sans-serif;max-width:32em;margin:4em auto;padding:0 1em}button{display:block;font:inherit;margin:.5em 0;padding:.5em 1em;width:100%%}</style>
  <h1>%[1]s</h1>
%s`

// page returns a page with a title, which is plain text, and a body, which is HTML.
func page(status int, title, body string) wire.Response {
	return wire.Response{
		Status:      status,
		ContentType: "text/html; charset=utf-8",
		Header: []wire.Field{
			{Name: "Content-Security-Policy", Value: "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"},
			{Name: "Referrer-Policy", Value: "same-origin"},
			{Name: "X-Frame-Options", Value: "DENY"},
		},
		Body: fmt.Sprintf(frame, html.EscapeString(title), body),
	}
}

// paragraph returns an HTML paragraph of plain text.
func paragraph(text string) string { return "  <p>" + html.EscapeString(text) + "\n" }

// messagePage returns a page that only shows a message.
func messagePage(status int, title, message string) wire.Response {
	return page(status, title, paragraph(message))
}

// refusalPage shows an error that must not be sent to the redirect URI of the request.
func refusalPage(refusal *oauthapi.Error) wire.Response {
	return messagePage(refusal.Status, fmt.Sprintf("Error %d: %s", refusal.Status, refusal.Code), refusal.Description)
}

// answerPage shows an answer for the user to copy. Some programs read it from the title of the
// browser's window.
func answerPage(answer url.Values) wire.Response {
	if code := answer.Get("code"); code != "" {
		return page(http.StatusOK, "Success code="+code,
			paragraph("Copy this code and paste it where you were asked for it:")+
				"  <p><code id=code>"+html.EscapeString(code)+"</code>\n")
	}
	return messagePage(http.StatusOK, "Denied error="+answer.Get("error"), answer.Get("error_description"))
}

// consentPage asks which user grants the client's request. Its form posts back to the request's
// own URL.
func consentPage(w *world.World, client string, wanted authorization, action string) wire.Response {
	return page(http.StatusOK, "Choose a user", demand(client, wanted.scopes)+form(w, action, wanted.hint, ""))
}

// userCodePage asks for the code that a device shows. wrong, if not empty, is an error about the
// previous code.
func userCodePage(status int, wrong string) wire.Response {
	body := `  <form action="/device">
    <p><label>Code shown on the device: <input name=user_code required autofocus autocomplete=off></label>
    <button>Continue</button>
  </form>
`
	if wrong != "" {
		body = paragraph(wrong) + body
	}
	return page(status, "Connect a device", body)
}

// devicePage asks which user grants the device's request.
func devicePage(w *world.World, waiting *device, userCode string) wire.Response {
	hidden := "    <input type=hidden name=user_code value=\"" + html.EscapeString(userCode) + "\">\n"
	return page(http.StatusOK, "Connect a device", demand(waiting.client, waiting.scopes)+form(w, "/device", "", hidden))
}

// demand returns the client's name and the scopes that it asks for.
func demand(client string, scopes []string) string {
	var body strings.Builder
	fmt.Fprintf(&body, "  <p><b>%s</b> asks for access to\n  <ul>\n", html.EscapeString(client))
	for _, scope := range scopes {
		fmt.Fprintf(&body, "    <li>%s\n", html.EscapeString(scope))
	}
	body.WriteString("  </ul>\n")
	return body.String()
}

// form returns a form with a button per user, the hinted user first, and a button to deny. fields
// is HTML to put before the buttons.
func form(w *world.World, action, hint, fields string) string {
	var buttons strings.Builder
	hinted, _ := w.User(hint)
	if hinted != nil {
		writeButton(&buttons, hinted)
	}
	for _, user := range w.Users {
		if user != hinted {
			writeButton(&buttons, user)
		}
	}
	return fmt.Sprintf("  <form method=post action=\"%s\">\n%s%s    <button name=%s value=1>Deny</button>\n  </form>\n",
		html.EscapeString(action), fields, buttons.String(), denyButton) +
		paragraph("These users come from the emulator's fixture. They have no passwords.")
}

func writeButton(out *strings.Builder, user *world.User) {
	label := user.Email
	if user.Name != "" {
		label = user.Name + " <" + user.Email + ">"
	}
	fmt.Fprintf(out, "    <button name=%s value=\"%s\">%s</button>\n", userButton, html.EscapeString(user.Email), html.EscapeString(label))
}
