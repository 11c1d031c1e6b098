package cli

import (
	"strings"

	"github.com/alecthomas/kong"
)

// words are texts of the program. Help, enums and defaults of flags refer to them as "${NAME}". They
// are not variables of kong, because kong looks through all of its variables again for each flag. That
// took a quarter of the program's start.
type words map[string]string

// options returns the options that put the words into a parser's model.
func (w words) options() []kong.Option {
	return []kong.Option{kong.PostBuild(func(parser *kong.Kong) error { return w.fill(parser.Model) }), kong.Bind(w)}
}

// fill puts the words into a model before kong interpolates it. It takes the helps away in which kong has
// nothing to interpolate: see restore.
func (w words) fill(model *kong.Application) error {
	var pairs []string
	for name, text := range w {
		pairs = append(pairs, "${"+name+"}", strings.ReplaceAll(text, "$", "$$"))
	}
	replacer := strings.NewReplacer(pairs...)
	return eachValue(model, func(value *kong.Value) {
		value.Enum, value.Default = replacer.Replace(value.Enum), replacer.Replace(value.Default)
		value.OrigHelp = replacer.Replace(value.Help)
		if value.Help = value.OrigHelp; !strings.Contains(value.Help, "$") {
			value.Help = ""
		}
	})
}

// restore gives back the helps that fill has taken away.
func restore(model *kong.Application) error {
	return eachValue(model, func(value *kong.Value) {
		if value.Help == "" {
			value.Help = value.OrigHelp
		}
	})
}

func eachValue(model *kong.Application, do func(*kong.Value)) error {
	return kong.Visit(model.Node, func(visited kong.Visitable, next kong.Next) error {
		if value, ok := visited.(*kong.Value); ok {
			do(value)
		}
		return next(nil)
	})
}
