// Package completion completes command lines in shells. The scripts for the shells ask the program
// itself, by its hidden command "complete", so that they never grow old.
package completion

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

//go:embed scripts
var scripts embed.FS

// Shells returns the names of the shells that there are scripts for.
func Shells() []string { return []string{"bash", "zsh", "fish", "powershell"} }

// Script returns the script for a shell in Shells. It contains the program's name.
func Script(shell string) (string, error) {
	text, err := scripts.ReadFile("scripts/" + shell)
	if err != nil {
		return "", fmt.Errorf("there is no completion for the shell %q: %w", shell, err)
	}
	return string(text), nil
}

// Candidate is a word that may stand at the end of a command line.
type Candidate struct{ Word, Help string }

// Candidates returns the candidates for the last of the words after the program's name. The last
// word may be empty. If there are no candidates, the shell completes the names of files. If a flag
// has no enum, its tag "values" names a variable in vars with a list of its values.
func Candidates(model *kong.Application, vars kong.Vars, words []string) []Candidate {
	if len(words) == 0 {
		return nil
	}
	last := words[len(words)-1]
	at, ok := walk(model.Node, words[:len(words)-1])
	if !ok {
		return nil
	}
	var all []Candidate
	name, value, hasValue := strings.Cut(last, "=")
	switch {
	case at.flag != nil:
		all = values(at.flag.Value, vars, "")
	case hasValue && strings.HasPrefix(name, "--"):
		if flag := find(at.node, name); flag != nil {
			return starting(values(flag.Value, vars, ""), value) // shells take "=" for the end of a word
		}
	case strings.HasPrefix(last, "-"):
		all = flags(at.node)
	default:
		all = append(commands(at), arguments(at, vars)...)
	}
	return starting(all, last)
}

// place is a place in a command line.
type place struct {
	node      *kong.Node
	flag      *kong.Flag // the flag whose value comes next, or nil
	arguments int        // number of arguments of the node so far
}

// walk follows words from a node. If the words after them belong to another program, ok is false.
func walk(node *kong.Node, words []string) (at place, ok bool) {
	at.node = node
	for _, word := range words {
		switch {
		case at.flag != nil:
			at.flag = nil
		case word == "--":
			return at, false
		case strings.HasPrefix(word, "-"):
			if flag := find(at.node, word); flag != nil && !flag.IsBool() {
				at.flag = flag
			}
		default:
			if child := childOf(at.node, word); child != nil && at.arguments == 0 {
				at.node = child
				continue
			}
			at.arguments++
			if PassesOn(at.node) {
				return at, false
			}
		}
	}
	return at, true
}

func childOf(node *kong.Node, word string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == word {
			return child
		}
	}
	return nil
}

// PassesOn reports whether the arguments of a command are another program and its arguments.
func PassesOn(node *kong.Node) bool {
	return len(node.Positional) == 1 && node.Positional[0].PassthroughMode != kong.PassThroughModeNone
}

// find returns the flag of a node or its parents, or of the default command, or nil. word has the
// form --NAME or --NAME=VALUE; a flag with its value is complete, and so is not found.
func find(node *kong.Node, word string) *kong.Flag {
	for _, flag := range flagsOf(node) {
		if word == "--"+flag.Name {
			return flag
		}
	}
	return nil
}

func flagsOf(node *kong.Node) []*kong.Flag {
	all := slices.Concat(node.AllFlags(true)...)
	if node.DefaultCmd != nil {
		all = append(all, node.DefaultCmd.Flags...)
	}
	return slices.DeleteFunc(all, func(flag *kong.Flag) bool { return flag.Hidden })
}

func flags(node *kong.Node) []Candidate {
	var all []Candidate
	for _, flag := range flagsOf(node) {
		all = append(all, Candidate{Word: "--" + flag.Name, Help: flag.Help})
	}
	return all
}

func commands(at place) []Candidate {
	var all []Candidate
	for _, child := range at.node.Children {
		if !child.Hidden && at.arguments == 0 {
			all = append(all, Candidate{Word: child.Name, Help: child.Help})
		}
	}
	return all
}

func arguments(at place, vars kong.Vars) []Candidate {
	if at.arguments >= len(at.node.Positional) {
		return nil
	}
	argument := at.node.Positional[at.arguments]
	return values(argument, vars, argument.Help)
}

// values returns the values of a flag or an argument that has few.
func values(value *kong.Value, vars kong.Vars, help string) []Candidate {
	words := value.EnumSlice()
	if value.Enum == "" {
		words = strings.Split(vars[value.Tag.Get("values")], ", ")
	}
	var all []Candidate
	for _, word := range words {
		if word != "" {
			all = append(all, Candidate{Word: word, Help: help})
		}
	}
	return all
}

func starting(all []Candidate, prefix string) []Candidate {
	return slices.DeleteFunc(all, func(c Candidate) bool { return !strings.HasPrefix(c.Word, prefix) })
}
