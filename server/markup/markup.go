// Package markup writes the emulator's HTML pages: it executes templates in the language of html/template,
// and escapes their values.
//
// It exists for the size of the program. html/template finds the methods of data by their names, so the
// linker must keep every exported method of every type in the program, a seventh of its size. These
// templates see fields, entries of maps, functions, and the methods that a value offers by [Methods].
//
// The package knows the syntax of templates from text/template/parse, and no page.
package markup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"strings"
	"text/template/parse"
)

// Methods are the methods of a value that templates can call. TemplateMethod returns a function, or
// nil if the value does not offer a method of this name.
type Methods interface{ TemplateMethod(name string) any }

// URL is an encoded URL, or part of a URL. An attribute with a URL does not encode it again.
type URL string

// CSS is a style sheet. Only CSS may stand in a style element.
type CSS string

// Template is a set of named templates. It is safe for concurrent use.
type Template struct {
	trees     map[string]*parse.Tree
	functions map[string]reflect.Value
}

// Parse reads the templates that texts define with "define". The templates can call the functions,
// which return a value, or a value and an error.
func Parse(functions map[string]any, texts ...string) (*Template, error) {
	t := &Template{trees: map[string]*parse.Tree{}, functions: map[string]reflect.Value{}}
	all := builtins()
	maps.Copy(all, functions)
	for name, function := range all {
		t.functions[name] = reflect.ValueOf(function)
	}
	for _, text := range texts {
		trees, err := parse.Parse("", text, "", "", all)
		if err != nil {
			return nil, fmt.Errorf("parse a template: %w", err)
		}
		maps.Copy(t.trees, trees)
	}
	return t, nil
}

// ParseFS reads the templates of all files in a folder.
func ParseFS(functions map[string]any, files fs.FS, folder string) (*Template, error) {
	names, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	var texts []string
	for _, name := range names {
		text, err := fs.ReadFile(files, path.Join(folder, name.Name()))
		if err != nil {
			return nil, fmt.Errorf("read templates: %w", err)
		}
		texts = append(texts, string(text))
	}
	return Parse(functions, texts...)
}

// Must returns the template, or panics: for templates that are part of the program.
func Must(t *Template, err error) *Template {
	if err != nil {
		panic(err)
	}
	return t
}

// Has reports whether there is a template of a name.
func (t *Template) Has(name string) bool { return t.trees[name] != nil }

// Execute returns the page that a template makes of data.
func (t *Template) Execute(name string, data any) (string, error) {
	out := &strings.Builder{}
	if err := t.execute(out, name, reflect.ValueOf(data)); err != nil {
		return "", fmt.Errorf("template %q: %w", name, err)
	}
	return out.String(), nil
}

func (t *Template) execute(out *strings.Builder, name string, data reflect.Value) error {
	tree := t.trees[name]
	if tree == nil {
		return errors.New("it is not defined")
	}
	run := &execution{Template: t, out: out, variables: []variable{{"$", data}}}
	return run.list(data, tree.Root)
}

// execution is the execution of one template.
type execution struct {
	*Template

	out       *strings.Builder
	variables []variable
}

type variable struct {
	name  string
	value reflect.Value
}

func (e *execution) list(dot reflect.Value, list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, node := range list.Nodes {
		if err := e.node(dot, node); err != nil {
			return err
		}
	}
	return nil
}

func (e *execution) node(dot reflect.Value, node parse.Node) error {
	switch node := node.(type) {
	case *parse.TextNode:
		_, err := e.out.Write(node.Text)
		return err
	case *parse.ActionNode:
		return e.action(dot, node.Pipe)
	case *parse.IfNode:
		return e.branch(dot, &node.BranchNode)
	case *parse.WithNode:
		return e.branch(dot, &node.BranchNode)
	case *parse.RangeNode:
		return e.loop(dot, &node.BranchNode)
	case *parse.TemplateNode:
		data, err := e.pipe(dot, node.Pipe)
		if err == nil {
			err = e.execute(e.out, node.Name, data)
		}
		if err != nil {
			err = fmt.Errorf("template %q: %w", node.Name, err)
		}
		return err
	}
	return fmt.Errorf("%q cannot be executed", node)
}

// action writes the value of a pipeline, unless the pipeline declares variables.
func (e *execution) action(dot reflect.Value, pipe *parse.PipeNode) error {
	value, err := e.pipe(dot, pipe)
	if err != nil || len(pipe.Decl) > 0 {
		return err
	}
	text, err := escape(e.out.String(), value)
	if err != nil {
		return fmt.Errorf("%q: %w", pipe, err)
	}
	_, err = e.out.WriteString(text)
	return err
}

// branch executes an "if" or a "with".
func (e *execution) branch(dot reflect.Value, node *parse.BranchNode) error {
	outer := len(e.variables)
	defer func() { e.variables = e.variables[:outer] }()
	value, err := e.pipe(dot, node.Pipe)
	switch {
	case err != nil:
		return err
	case !truth(value):
		return e.list(dot, node.ElseList)
	case node.NodeType == parse.NodeWith:
		return e.list(value, node.List)
	default:
		return e.list(dot, node.List)
	}
}

// loop executes a "range" over a list, or over a map in the order of its keys.
func (e *execution) loop(dot reflect.Value, node *parse.BranchNode) error {
	outer := len(e.variables)
	defer func() { e.variables = e.variables[:outer] }()
	value, err := e.pipe(dot, &parse.PipeNode{NodeType: parse.NodePipe, Cmds: node.Pipe.Cmds})
	if err != nil {
		return err
	}
	keys, elements, err := entries(value)
	if err != nil {
		return fmt.Errorf("%q: %w", node.Pipe, err)
	}
	if len(elements) == 0 {
		return e.list(dot, node.ElseList)
	}
	for i, element := range elements {
		pair := []reflect.Value{keys[i], element}
		e.variables = e.variables[:outer]
		for j, declared := range node.Pipe.Decl {
			e.variables = append(e.variables, variable{declared.Ident[0], pair[len(pair)-len(node.Pipe.Decl)+j]})
		}
		if err := e.list(element, node.List); err != nil {
			return err
		}
	}
	return nil
}
