package cli

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"gcp-metadata-emulator/fixtures/spelling"
	"gcp-metadata-emulator/server/cli/completion"
	"gcp-metadata-emulator/server/reach"
)

// misuse returns the command that was misused, and the parser's error in words of ours.
func misuse(err error) (command string, mistake error) {
	var node *kong.Node
	if parsing, ok := errors.AsType[*kong.ParseError](err); ok && parsing.Context != nil {
		node = parsing.Context.Selected()
		if isImplied(node, parsing.Context.Args) {
			node = node.Parent
		}
	}
	mistake = errors.New(usage(err.Error(), node))
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		mistake = &hintError{message: mistake.Error(), hint: hinted.Hint(), cause: err}
	}
	return pathOf(node), &usageError{mistake}
}

// isImplied reports whether a command is the default one, and the arguments do not name it.
func isImplied(node *kong.Node, arguments []string) bool {
	return node != nil && node.Parent != nil && node.Parent.DefaultCmd == node && !slices.Contains(arguments, node.Name)
}

// pathOf returns the program and the names of a command, as in "gcp-metadata-emulator token".
func pathOf(node *kong.Node) string {
	if node == nil {
		return program
	}
	return strings.TrimSpace(node.FullPath())
}

// usage rewrites the parser's error messages. node is the command that was misused, or nil.
func usage(message string, node *kong.Node) string {
	if argument, ok := strings.CutPrefix(message, "unexpected argument "); ok {
		argument, proposal, proposed := strings.Cut(argument, ", did you mean ")
		message = fmt.Sprintf("unknown command or argument %q", argument)
		if proposed {
			return message + "; did you mean " + proposal
		}
		return message + nearestCommand(argument, node)
	}
	message = strings.Replace(message, `must be one of "",`, "must be one of ", 1) // users do not write the default's empty value
	if missing, ok := strings.CutPrefix(message, "expected "); ok {
		return "missing argument: " + missing
	}
	if flag, ok := strings.CutSuffix(message, ` value but got "EOL" (<EOL>)`); ok {
		flag, _, _ = strings.Cut(flag, ": expected ")
		return fmt.Sprintf("missing value for %q", flag)
	}
	return message
}

// nearestCommand proposes a command. The parser takes an unknown command for an argument of the
// default command, and so proposes none.
func nearestCommand(word string, node *kong.Node) string {
	if node == nil {
		return ""
	}
	if near, ok := spelling.Nearest(word, commandNames(node.Children)); ok {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

func commandNames(nodes []*kong.Node) []string {
	var words []string
	for _, node := range nodes {
		if !node.Hidden {
			words = append(words, node.Name)
		}
	}
	return words
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// printHelp prints the help of a command. If a command runs another command, the parser's own
// synopsis has the flags at the end, although there they would go to the other command.
func printHelp(options kong.HelpOptions, parsed *kong.Context) error {
	if node := parsed.Selected(); node != nil && completion.PassesOn(node) {
		synopsis := "[flags] -- COMMAND [ARG...]"
		if !node.Positional[0].Required {
			synopsis = "[flags] [-- COMMAND [ARG...]]"
		}
		if _, err := fmt.Fprintf(parsed.Stdout, "Usage: %s %s\n", pathOf(node), synopsis); err != nil {
			return err
		}
		options.NoAppSummary = true
	}
	return kong.DefaultHelpPrinter(options, parsed)
}

// warnOfVariables names the emulator's variables without a flag, each with the most similar
// variable of a flag.
func warnOfVariables(model *kong.Application, std streams) {
	for name, known := range unknownVariables(model) {
		_, _ = fmt.Fprintf(std.err, "%s: ignoring the unknown variable %q%s\n", program, name, proposal(name, known))
	}
}

// hasUnknownVariable reports whether one of the emulator's variables belongs to no flag of a model.
func hasUnknownVariable(model *kong.Application) bool {
	for range unknownVariables(model) {
		return true
	}
	return false
}

// unknownVariables yields the emulator's variables without a flag in a model, each with the known
// variables.
func unknownVariables(model *kong.Application) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		var known []string
		for _, entry := range os.Environ() {
			name, _, _ := strings.Cut(entry, "=")
			if !strings.HasPrefix(name, envPrefix+"_") || isOfOrchestrator(name) {
				continue
			}
			if known == nil {
				known = variables(model.Node)
			}
			if !slices.Contains(known, name) && !yield(name, known) {
				return
			}
		}
	}
}

// proposal proposes one of the known variables. All of them have the same prefix, so it compares
// only the rest.
func proposal(name string, known []string) string {
	const prefix = envPrefix + "_"
	rest := make([]string, len(known))
	for i, one := range known {
		rest[i] = strings.TrimPrefix(one, prefix)
	}
	if near, ok := spelling.Nearest(strings.TrimPrefix(name, prefix), rest); ok {
		return fmt.Sprintf("; did you mean %q?", prefix+near)
	}
	return ""
}

// variables returns the variables of a command's flags and of its subcommands' flags, and the
// variables that lead programs to an emulator.
func variables(node *kong.Node) []string {
	known := []string{reach.BeforeVariable, reach.TLSVariable, hostsVariable}
	_ = kong.Visit(node, func(visited kong.Visitable, next kong.Next) error {
		if flag, ok := visited.(*kong.Flag); ok {
			known = append(known, flag.Envs...)
		}
		return next(nil)
	})
	return known
}

// isOfOrchestrator reports whether Kubernetes or Docker set a variable because a service or a
// container has the name of this program
// (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
func isOfOrchestrator(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix+"_")
	return strings.HasPrefix(rest, "SERVICE_HOST") || strings.HasPrefix(rest, "SERVICE_PORT") ||
		rest == "PORT" || strings.HasPrefix(rest, "PORT_")
}

// warnOfMisplaced warns the user about flags of this program after the name of the command to run:
// they go to that command. If the user writes "--", the flags are meant for it.
func warnOfMisplaced(parsed *kong.Context, arguments []string, std streams) {
	if len(arguments) == 0 || arguments[0] == "--" {
		return
	}
	for _, argument := range arguments[1:] {
		if argument == "--" {
			return
		}
		name, _, _ := strings.Cut(argument, "=")
		if flag, ok := strings.CutPrefix(name, "--"); ok && hasFlag(parsed.Selected(), flag) {
			_, _ = fmt.Fprintf(std.err, "%s: %s goes to the command %q, because it stands after it\n"+
				"hint: to set it for %s, put it before the command; to silence this message, put -- before the command\n",
				program, name, arguments[0], pathOf(parsed.Selected()))
		}
	}
}

func hasFlag(node *kong.Node, name string) bool {
	for _, group := range node.AllFlags(true) {
		if slices.ContainsFunc(group, func(flag *kong.Flag) bool { return flag.Name == name }) {
			return true
		}
	}
	return false
}
