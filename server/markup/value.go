package markup

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template/parse"

	"gcp-metadata-emulator/server/order"
)

// pipe returns the value of a pipeline, and declares its variables.
func (e *execution) pipe(dot reflect.Value, pipe *parse.PipeNode) (value reflect.Value, err error) {
	if pipe == nil {
		return value, nil
	}
	for i, command := range pipe.Cmds {
		var more []reflect.Value
		if i > 0 {
			more = append(more, value)
		}
		if value, err = e.command(dot, command, more); err != nil {
			return value, fmt.Errorf("%q: %w", command, err)
		}
	}
	value = bare(value)
	for _, declared := range pipe.Decl {
		e.variables = append(e.variables, variable{declared.Ident[0], value})
	}
	return value, nil
}

// command returns the value of a command, which is a call if it has arguments. more are the arguments from
// before a "|".
func (e *execution) command(dot reflect.Value, command *parse.CommandNode, more []reflect.Value) (reflect.Value, error) {
	var arguments []reflect.Value
	for _, node := range command.Args[1:] {
		value, err := e.operand(dot, node)
		if err != nil {
			return value, err
		}
		arguments = append(arguments, value)
	}
	arguments = append(arguments, more...)
	if identifier, ok := command.Args[0].(*parse.IdentifierNode); ok {
		return call(e.functions[identifier.Ident], arguments)
	}
	if len(arguments) == 0 {
		return e.operand(dot, command.Args[0])
	}
	receiver, names, err := e.selection(dot, command.Args[0])
	if err != nil || len(names) == 0 {
		return receiver, errors.Join(err, errors.New("it has arguments, and is not a function"))
	}
	last := len(names) - 1
	if receiver, err = along(receiver, names[:last]); err != nil {
		return receiver, err
	}
	return method(receiver, names[last], arguments)
}

// operand returns the value of a node without arguments.
func (e *execution) operand(dot reflect.Value, node parse.Node) (reflect.Value, error) {
	switch node := node.(type) {
	case *parse.StringNode:
		return reflect.ValueOf(node.Text), nil
	case *parse.BoolNode:
		return reflect.ValueOf(node.True), nil
	case *parse.NumberNode:
		return reflect.ValueOf(int(node.Int64)), nil
	case *parse.IdentifierNode:
		return call(e.functions[node.Ident], nil)
	}
	value, names, err := e.selection(dot, node)
	if err != nil {
		return value, err
	}
	return along(value, names)
}

// selection returns the value at the beginning of a node, and the names after it.
func (e *execution) selection(dot reflect.Value, node parse.Node) (value reflect.Value, names []string, err error) {
	switch node := node.(type) {
	case *parse.DotNode:
		return dot, nil, nil
	case *parse.FieldNode:
		return dot, node.Ident, nil
	case *parse.VariableNode:
		at := slices.IndexFunc(e.variables, func(v variable) bool { return v.name == node.Ident[0] })
		for i := range e.variables {
			if e.variables[i].name == node.Ident[0] {
				at = i // the innermost counts
			}
		}
		return e.variables[at].value, node.Ident[1:], nil // the parser knows all variables
	case *parse.PipeNode:
		value, err = e.pipe(dot, node)
		return value, nil, err
	case *parse.ChainNode:
		value, err = e.operand(dot, node.Node)
		return value, node.Field, err
	}
	return value, nil, fmt.Errorf("%q has no value", node)
}

// along follows names from a value.
func along(value reflect.Value, names []string) (reflect.Value, error) {
	var err error
	for _, name := range names {
		if value, err = member(value, name); err != nil {
			return value, err
		}
	}
	return value, nil
}

// member returns a field of a struct, an entry of a map, or the result of a method without arguments.
// If a map lacks the entry, there is no value.
func member(value reflect.Value, name string) (reflect.Value, error) {
	of := bare(value)
	for of.Kind() == reflect.Pointer && !of.IsNil() {
		of = bare(of.Elem())
	}
	if of.Kind() == reflect.Map {
		return bare(of.MapIndex(reflect.ValueOf(name).Convert(of.Type().Key()))), nil
	}
	if of.Kind() == reflect.Struct {
		if field, ok := of.Type().FieldByName(name); ok && field.IsExported() {
			return of.FieldByIndexErr(field.Index)
		}
	}
	return method(value, name, nil)
}

// method calls a method that a value offers.
func method(value reflect.Value, name string, arguments []reflect.Value) (reflect.Value, error) {
	value = bare(value)
	if value.Kind() != reflect.Pointer && value.CanAddr() {
		value = value.Addr()
	}
	if value.IsValid() && value.CanInterface() {
		if offering, ok := reflect.TypeAssert[Methods](value); ok {
			if function := offering.TemplateMethod(name); function != nil {
				return call(reflect.ValueOf(function), arguments)
			}
		}
	}
	if !value.IsValid() {
		return value, fmt.Errorf("no value has a member %q", name)
	}
	return value, fmt.Errorf("%v has no member %q", value.Type(), name)
}

// call calls a function that returns a value, or a value and an error.
func call(function reflect.Value, arguments []reflect.Value) (reflect.Value, error) {
	kind := function.Type()
	if len(arguments) < kind.NumIn() && !kind.IsVariadic() || len(arguments) > kind.NumIn() && !kind.IsVariadic() {
		return reflect.Value{}, fmt.Errorf("%d arguments, and not %d", len(arguments), kind.NumIn())
	}
	for i, argument := range arguments {
		wanted := kind.In(min(i, kind.NumIn()-1))
		if kind.IsVariadic() && i >= kind.NumIn()-1 {
			wanted = wanted.Elem()
		}
		switch {
		case !argument.IsValid():
			arguments[i] = reflect.Zero(wanted)
		case argument.Type().AssignableTo(wanted):
		case argument.Kind() == wanted.Kind() && argument.CanConvert(wanted):
			arguments[i] = argument.Convert(wanted)
		default:
			return reflect.Value{}, fmt.Errorf("argument %d is a %v, and not a %v", i+1, argument.Type(), wanted)
		}
	}
	results := function.Call(arguments)
	if len(results) > 1 && !results[1].IsNil() {
		return results[0], results[1].Interface().(error)
	}
	return bare(results[0]), nil
}

// bare returns the value in an interface.
func bare(value reflect.Value) reflect.Value {
	for value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	return value
}

// truth reports whether a value is not empty.
func truth(value reflect.Value) bool {
	switch kind := value.Kind(); {
	case kind == reflect.Invalid:
		return false
	case kind == reflect.Struct:
		return true
	case kind == reflect.Map || isList(value):
		return value.Len() > 0
	default:
		return !value.IsZero()
	}
}

func isList(value reflect.Value) bool {
	return value.Kind() == reflect.Slice || value.Kind() == reflect.Array
}

// entries returns the keys and the elements of a list, or of a map in the order of its keys.
func entries(value reflect.Value) (keys, elements []reflect.Value, err error) {
	switch kind := value.Kind(); {
	case kind == reflect.Invalid:
	case isList(value):
		for i := range value.Len() {
			keys, elements = append(keys, reflect.ValueOf(i)), append(elements, bare(value.Index(i)))
		}
	case kind == reflect.Map:
		keys = value.MapKeys()
		order.Sort(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			elements = append(elements, bare(value.MapIndex(key)))
		}
	default:
		err = fmt.Errorf("%v has no elements", value.Type())
	}
	return keys, elements, err
}
