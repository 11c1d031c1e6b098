package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"gcp-metadata-emulator/server/wire"
)

// Operation is a call of an operation of the control plane.
type Operation struct {
	Name  string            // of its route
	Path  map[string]string // the variables of the path
	Query url.Values
	Body  any // encoded as JSON; nil: none
}

// visit is a request for a page, with the data for the templates.
type visit struct {
	request *http.Request
	perform Perform

	Form     url.Values     // the fields of the form that was sent, or of the query
	Notice   string         // the effect of the form
	Cautions []string       // warnings about the effect
	Problem  string         // why something has not been done, or cannot be shown
	Result   map[string]any // the answer to the form
	Data     any            // of the page

	status  int   // of the first operation that failed
	trouble error // a mistake of the emulator
}

// Value returns a field of the form.
func (v *visit) Value(name string) string { return v.Form.Get(name) }

// TemplateMethod returns the methods for templates.
func (v *visit) TemplateMethod(name string) any { return map[string]any{"Value": v.Value}[name] }

// read reads the form that was posted.
func (v *visit) read() error {
	body, err := wire.ReadBody(v.request)
	if err != nil {
		return err
	}
	if v.Form, err = url.ParseQuery(string(body)); err != nil {
		v.fail(http.StatusBadRequest, "the form cannot be read")
	}
	return nil
}

// act does the act of the form. done reports whether the browser must be led to the page again, at to.
func (v *visit) act(of section) (to string, done bool) {
	if v.Problem != "" {
		return "", false
	}
	wanted, ok := of.acts[v.Form.Get("do")]
	if !ok {
		v.fail(http.StatusBadRequest, fmt.Sprintf("the page cannot do %q", v.Form.Get("do")))
		return "", false
	}
	op, err := wanted.op(v.Form)
	if err != nil {
		v.fail(http.StatusBadRequest, err.Error())
		return "", false
	}
	var answer map[string]any
	if !v.ask(op, &answer) {
		return "", false
	}
	if wanted.said == "" {
		v.Result = answer
		return "", false
	}
	if v.Cautions = cautions(answer); len(v.Cautions) > 0 {
		v.Notice = wanted.said
		return "", false // the page that a browser is led to would not have them
	}
	query := url.Values{"done": {v.Form.Get("do")}}
	if kept := v.Form.Get(wanted.keep); kept != "" {
		query.Set(wanted.keep, kept)
	}
	return of.path + "?" + query.Encode(), true
}

// cautions returns the warnings of an answer, and the replicas that have not answered.
func cautions(answer map[string]any) (list []string) {
	warnings, _ := answer["warnings"].([]any)
	for _, one := range warnings {
		list = append(list, fmt.Sprint(one))
	}
	silent, _ := answer["unanswered"].([]any)
	for _, one := range silent {
		if of, ok := one.(map[string]any); ok {
			list = append(list, fmt.Sprintf("The replica %v has not said that it did this too: %v.", of["name"], of["reason"]))
		}
	}
	return list
}

// ask performs an operation, decodes the answer, and reports whether it succeeded.
func (v *visit) ask(op Operation, answer any) bool {
	response := v.perform(v.request, op)
	if response.Status >= http.StatusBadRequest {
		var failed struct {
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := json.Unmarshal([]byte(response.Body), &failed); err != nil {
			v.trouble = errors.Join(v.trouble, fmt.Errorf("read the error of %s: %w", op.Name, err))
		}
		v.fail(response.Status, failed.Error.Message)
		return false
	}
	decoder := json.NewDecoder(strings.NewReader(response.Body))
	decoder.UseNumber() // an instance's ID is too large for a float64
	if err := decoder.Decode(answer); err != nil {
		v.trouble = errors.Join(v.trouble, fmt.Errorf("read the answer of %s: %w", op.Name, err))
		return false
	}
	return true
}

// text returns the answer of an operation that answers with a text. It is empty if the operation fails.
func (v *visit) text(op Operation) string {
	response := v.perform(v.request, op)
	if response.Status >= http.StatusBadRequest {
		v.fail(response.Status, fmt.Sprintf("the operation %s failed", op.Name))
		return ""
	}
	return response.Body
}

// get returns the answer of an operation that needs nothing but its name. It is the zero value if the
// operation fails; the page then says why.
func get[T any](v *visit, name string) (answer T) {
	v.ask(Operation{Name: name}, &answer)
	return answer
}

// together asks for several things at once. Each function has a visit of its own. The problem of the first of them counts.
func (v *visit) together(asks ...func(*visit)) {
	each := make([]visit, len(asks))
	var asking sync.WaitGroup
	for i, ask := range asks {
		each[i] = visit{request: v.request, perform: v.perform}
		asking.Go(func() { ask(&each[i]) })
	}
	asking.Wait()
	for _, one := range each {
		v.trouble = errors.Join(v.trouble, one.trouble)
		if one.Problem != "" {
			v.fail(one.status, one.Problem)
		}
	}
}

// fail notes the first problem.
func (v *visit) fail(status int, problem string) {
	if v.Problem == "" {
		v.status, v.Problem = status, problem
	}
}

// render returns the page.
func (v *visit) render(of section) (wire.Response, error) {
	v.Data = of.load(v)
	if v.trouble != nil {
		return wire.Response{}, v.trouble
	}
	body, err := parsed().Execute(of.name, shown{visit: v, Title: of.title, Path: of.path, Pages: sections()})
	if err != nil {
		return wire.Response{}, fmt.Errorf("write the page %s: %w", of.name, err)
	}
	return wire.Response{Status: v.status, ContentType: "text/html; charset=utf-8", Header: pageHeader(), Body: body}, nil
}

// shown is the data of a template.
type shown struct {
	*visit

	Title string
	Path  string
	Pages []section
}

// Title returns the title of the page, for the navigation.
func (s section) Title() string { return s.title }

// Path returns the path of the page, for the navigation.
func (s section) Path() string { return s.path }

// TemplateMethod returns the methods for templates.
func (s section) TemplateMethod(name string) any {
	return map[string]any{"Title": s.Title, "Path": s.Path}[name]
}
