package page

import (
	"embed"
	"net/http"
	"sync"

	"gcp-metadata-emulator/server/look"
	"gcp-metadata-emulator/server/markup"
	"gcp-metadata-emulator/server/wire"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed live.js
var script string

//go:embed icon.svg
var icon string

// parsed returns the templates. Most runs of the emulator never show a page.
var parsed = sync.OnceValue(func() *markup.Template { //nolint:gochecknoglobals // one copy serves every server
	return markup.Must(markup.ParseFS(functions(), templates, "templates"))
})

// pageHeader returns the header fields of a page. Nothing of it comes from another origin, and no other
// page can frame it. Browsers send the origin with its forms, for the guard of the control plane.
func pageHeader() []wire.Field {
	return append(look.Header("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'"),
		wire.Field{Name: "Cache-Control", Value: "no-store"})
}

// Asset returns the handler of a file that pages load: style.css, live.js or icon.svg.
func Asset(name string) wire.Handler {
	return func(*http.Request) (wire.Response, error) {
		contentType, body := "image/svg+xml", icon
		switch name {
		case "style.css":
			contentType, body = "text/css; charset=utf-8", look.Style()
		case "live.js":
			contentType, body = "text/javascript; charset=utf-8", script
		}
		return wire.Response{ContentType: contentType, Body: body, Header: []wire.Field{{Name: "Cache-Control", Value: "no-cache"}}}, nil
	}
}
