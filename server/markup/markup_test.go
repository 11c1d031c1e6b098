package markup_test

import (
	"encoding/json"
	"errors"
	"html/template"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/markup"
)

// person is data with fields, a method and more data in it.
type person struct {
	Name    string
	Age     uint8
	Friends []*person
	Extra   map[string]any
	Best    *person
	Count   json.Number
	Any     any

	hidden string //nolint:unused // templates must not see it
}

// Greet greets in a language.
func (p *person) Greet(language string) string { return language + ": " + p.Name }

// Fail fails.
func (*person) Fail() (string, error) { return "", errors.New("no answer") }

// TemplateMethod returns the methods for templates.
func (p *person) TemplateMethod(name string) any {
	return map[string]any{"Greet": p.Greet, "Fail": p.Fail}[name]
}

func people() *person {
	ann := &person{Name: "Ann & <b>Bob</b> \"'", Age: 3, Count: "18446744073709551615"}
	return &person{
		Name: "Zoë", Age: 40, Friends: []*person{ann, {Name: "Cy"}}, Best: ann, Any: ann,
		Extra: map[string]any{"b": 2, "a": "one", "nested": map[string]any{"deep": true}, "nothing": nil},
	}
}

func functions() map[string]any {
	return map[string]any{
		"join": strings.Join,
		"dict": func(pairs ...any) map[string]any { return map[string]any{pairs[0].(string): pairs[1]} },
	}
}

// Templates say the same as with html/template, which finds every mistake in the escapes.
func TestAsHTMLTemplate(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`plain`,
		`{{.Name}} is {{.Age}}{{/* a comment */}}`,
		`{{range .Friends}}<li>{{.Name}}{{else}}nobody{{end}}`,
		`{{range .Best.Friends}}{{.Name}}{{else}}nobody{{end}}`,
		`{{range $i, $friend := .Friends}}{{$i}}={{$friend.Name}} of {{$.Name}};{{end}}`,
		`{{range $key, $value := .Extra.nested}}{{$key}}={{$value}};{{end}}`,
		`{{with .Best}}{{.Name}}{{else}}none{{end}}{{with .Best.Best}}some{{else}}none{{end}}`,
		`{{if .Extra.missing}}yes{{else if .Extra.nested.deep}}deep{{else}}no{{end}}`,
		`{{.Extra.a}}{{.Extra.missing}}{{.Extra.nothing}}`,
		`{{$x := .Name}}{{with .Best}}{{$x}} {{$x := .Name}}{{$x}}{{end}} {{$x}}`,
		`{{eq .Name "Zoë"}} {{ne .Age 40}} {{eq .Age 40}} {{gt (len .Name) 2}} {{not .Age}} {{len .Friends}} {{print .Age "x"}}`,
		`{{or .Best.Best .Name}}`,
		`{{or .Extra.missing .Name}} {{or "" 0}}`,
		`{{.Greet "de"}} {{(.Best.Greet "en")}} {{"fr" | .Greet}}`,
		`{{join .Extra.list ", "}}`,
		`{{template "inner" dict "key" .Best}}`,
		`{{.Any.Name}} {{.Best.Count}}`,
		`<p class="a {{if .Best}}b{{end}} {{.Best.Name}}" title='{{.Best.Name}}'>{{.Best.Name}}</p>`,
		`<a href="{{.Best.Name}}">`, `<a href="/x/{{.Best.Name}}/y">`, `<a href="/x?q={{.Best.Name}}#{{.Name}}">`,
		`<a href="{{.Extra.a}}?{{.Name}}">`,
		`<input value="{{.Best.Name}}" name="{{.Name}}">{{.Best.Name}}`,
		`<title>{{.Best.Name}}</title><textarea>{{.Best.Name}}</textarea>`,
		`<b title="a > b">{{.Best.Name}}</b>`,
	} {
		data := people()
		data.Extra["list"] = []string{"a", "b<"}
		const inner = `{{define "inner"}}<i>{{.key.Name}}</i>{{end}}`
		var want strings.Builder
		if err := template.Must(template.New("page").Funcs(functions()).Parse(inner+text)).Execute(&want, data); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := markup.Must(markup.Parse(functions(), inner+`{{define "page"}}`+text+`{{end}}`)).Execute("page", data)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(plain(want.String()), got); diff != "" {
			t.Errorf("%s (-html/template +markup):\n%s", text, diff)
		}
	}
}

// plain undoes what html/template does in another way, with the same meaning.
func plain(text string) string {
	text = strings.ReplaceAll(text, "&#43;", "+")
	return regexp.MustCompile("%[0-9a-f]{2}").ReplaceAllStringFunc(text, strings.ToUpper)
}

// Hostile texts do not leave their place, wherever a template puts them.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	places := markup.Must(markup.Parse(nil, `{{define "page"}}<p>{{.}}</p><p title="{{.}}" class='{{.}}'><a href="{{.}}"><a href="/x?y={{.}}"><a href="/{{.}}">{{end}}`))
	for _, text := range []string{
		`<script>alert(1)</script>`, `"><script>`, `'><script>`, `" onclick="alert(1)`, "' onclick='alert(1)", "javascript:alert(1)", "JavaScript:alert(1)",
		" javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "vbscript:x", "&quot;><script>", "\x00<\x00script>", "\u2028", "</p>", "--><script>",
	} {
		page, err := places.Execute("page", text)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(page, "<") != 6 || strings.Count(page, ">") != 6 || strings.Count(page, `"`) != 8 || strings.Count(page, "'") != 2 {
			t.Errorf("%q leaves its place:\n%s", text, page)
		}
		_, link, _ := strings.Cut(page, `<a href="`)
		if link, _, _ = strings.Cut(link, `"`); strings.Contains(text, ":") && link != "#" {
			t.Errorf("%q is a link to %q", text, link)
		}
	}
}

// Texts of the types for it stand as they are where they belong, and are escaped elsewhere.
func TestSafeTexts(t *testing.T) {
	t.Parallel()
	page := markup.Must(markup.Parse(nil, `{{define "page"}}<style>{{.CSS}}</style><a href="?{{.URL}}" title="{{.CSS}}">{{.URL}}{{end}}`))
	got, err := page.Execute("page", map[string]any{"CSS": markup.CSS(`a>b{content:"x"}`), "URL": markup.URL("a=%2F&b=c+d")})
	if err != nil {
		t.Fatal(err)
	}
	if want := `<style>a>b{content:"x"}</style><a href="?a=%2F&amp;b=c+d" title="a&gt;b{content:&#34;x&#34;}">a=%2F&amp;b=c+d`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// A template that cannot be executed safely, or not at all, is an error.
func TestBadTemplates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`<p class={{.Name}}>`:                "in quotes",
		`<{{.Name}}>`:                        "in quotes",
		`<script>{{.Name}}</script>`:         "script",
		`<style>{{.Name}}</style>`:           "CSS",
		`<p onclick="{{.Name}}">`:            `"onclick"`,
		`<p style="{{.Name}}">`:              `"style"`,
		`{{.Missing}}`:                       `no member "Missing"`,
		`{{.hidden}}`:                        `no member "hidden"`,
		`{{.Best.Best.Name}}`:                `no member "Name"`,
		`{{.Name 3}}`:                        `no member "Name"`,
		`{{.Greet}}`:                         "0 arguments, and not 1",
		`{{.Greet 3}}`:                       "argument 1 is a int",
		`{{.Fail}}`:                          "no answer",
		`{{3 4}}`:                            "has no value",
		`{{eq .Name 3}}`:                     "cannot compare",
		`{{range .Age}}{{end}}`:              "has no elements",
		`{{template "nowhere"}}`:             "not defined",
		`{{range .Friends}}{{break}}{{end}}`: "cannot be executed",
	} {
		page, err := markup.Parse(nil, `{{define "page"}}`+text+`{{end}}`)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := page.Execute("page", people()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, error %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`{{`, `{{unknown}}`, `{{$x}}`} {
		if _, err := markup.Parse(nil, text); err == nil {
			t.Errorf("%s is a template", text)
		}
	}
}

func TestParseFS(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"pages/a.html": {Data: []byte(`{{define "a"}}{{template "b" .}}{{end}}`)}, "pages/b.html": {Data: []byte(`{{define "b"}}<b>{{.}}</b>{{end}}`)}}
	page := markup.Must(markup.ParseFS(nil, files, "pages"))
	if got, err := page.Execute("a", "x"); err != nil || got != "<b>x</b>" {
		t.Errorf("%q, %v", got, err)
	}
	if !page.Has("b") || page.Has("c") {
		t.Error("Has does not know the templates")
	}
	if _, err := markup.ParseFS(nil, files, "nowhere"); err == nil {
		t.Error("a folder that does not exist has templates")
	}
}
