package oauth2

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"gcp-metadata-emulator/server/look"
	"gcp-metadata-emulator/server/markup"
	"gcp-metadata-emulator/server/oauthapi"
	"gcp-metadata-emulator/server/wire"
	"gcp-metadata-emulator/server/world"
)

//go:embed pages.html
var pages string

// parsedPages returns the templates of the pages. Most runs of the emulator never send a page.
var parsedPages = sync.OnceValue(func() *markup.Template { //nolint:gochecknoglobals // one copy serves every server
	return markup.Must(markup.Parse(map[string]any{"style": func() markup.CSS { return markup.CSS(look.Style()) }}, pages))
})

// page returns the page that a template makes of data.
func page(status int, name string, data any) wire.Response {
	body, err := parsedPages().Execute(name, data)
	if err != nil {
		panic(err) // the data fits the template, whatever a client sends: see the test of hostile texts
	}
	return wire.Response{
		Status:      status,
		ContentType: "text/html; charset=utf-8",
		Header:      look.Header("default-src 'none'; style-src " + look.StyleSource()),
		Body:        body,
	}
}

// messagePage returns a page that only shows a message.
func messagePage(status int, title, message string) wire.Response {
	return page(status, "message", struct{ Title, Message string }{title, message})
}

// refusalPage shows an error that must not be sent to the redirect URI of the request.
func refusalPage(refusal *oauthapi.Error) wire.Response {
	page := messagePage(refusal.Status, fmt.Sprintf("Error %d: %s", refusal.Status, refusal.Code), refusal.Description)
	page.Refusal = new(refusal.Refusal())
	return page
}

// answerPage shows an answer for the user to copy. Some programs read it from the title of the
// browser's window.
func answerPage(answer url.Values) wire.Response {
	if code := answer.Get("code"); code != "" {
		return page(http.StatusOK, "code", struct{ Title, Code string }{"Success code=" + code, code})
	}
	return messagePage(http.StatusOK, "Denied error="+answer.Get("error"), answer.Get("error_description"))
}

const deviceTitle = "Connect a device"

// userCodePage asks for the code that a device shows. wrong, if not empty, is an error about the
// previous code.
func userCodePage(status int, wrong string) wire.Response {
	return page(status, "user code", struct{ Title, Wrong string }{deviceTitle, wrong})
}

// consent is the data of a page that asks for the user who grants a request.
type consent struct {
	Title, Client string
	Scopes        []string
	Action        string // where the form is posted to
	UserCode      string // of a device's request
	Users         []*world.User
}

// consentPage asks which user grants the client's request. Its form posts back to the request's
// own URL.
func consentPage(w *world.World, client string, wanted authorization, action string) wire.Response {
	return page(http.StatusOK, "consent", consent{
		Title: "Choose a user", Client: client, Scopes: wanted.scopes, Action: action, Users: hintedFirst(w, wanted.hint),
	})
}

// devicePage asks which user grants the device's request.
func devicePage(w *world.World, waiting device, userCode string) wire.Response {
	return page(http.StatusOK, "consent", consent{
		Title: deviceTitle, Client: waiting.Client, Scopes: waiting.Scopes, Action: "/device", UserCode: userCode, Users: w.Users,
	})
}

// hintedFirst returns the users, the hinted user first.
func hintedFirst(w *world.World, hint string) []*world.User {
	hinted, ok := w.User(hint)
	if !ok {
		return w.Users
	}
	others := slices.DeleteFunc(slices.Clone(w.Users), func(user *world.User) bool { return user == hinted })
	return append([]*world.User{hinted}, others...)
}
