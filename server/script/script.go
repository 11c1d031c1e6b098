// Package script owns the form of the wire scripts: requests, the answers that are expected, and the
// rules that they show. Tests check the emulator with the scripts, and package compare asks a real
// server the same requests.
//
// It does not own the scripts themselves, which are files, nor the values of variables, which its
// callers know.
package script

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// Script is one file: the exchanges of a route, and the rules that they show.
//
// The file is an archive in txtar's form with pairs of NAME.request and NAME.response. The text before the
// first pair is prose and rules:
//
//	rule recorded: A value has no newline at its end.
//		value number
//
// where the indented names are exchanges that show the rule.
type Script struct {
	Route     string // the name of the operation, such as mds.token
	Rules     []Rule
	Exchanges []Exchange
}

// Exchange is a request and the answer that is expected.
type Exchange struct {
	Name string

	// Request is a request line, header fields and a body, in lines. ${NAME} stands for a value.
	Request string

	// Response is a status, some of the header fields, with the case of their names, and the whole body.
	// <<REGEXP>> stands for text that varies. A field "-NAME" must be absent.
	Response string
}

// Basis is the ground on which a rule rests.
type Basis string

// The bases of rules, the strongest first.
const (
	Recorded   Basis = "recorded"   // bytes of Google's server show it
	Documented Basis = "documented" // Google's documentation or source says it
	Witnessed  Basis = "witnessed"  // clients, reports or other emulators imply it
	Assumed    Basis = "assumed"    // it was never seen; clients need some answer
	Ours       Basis = "ours"       // the emulator differs on purpose
)

func bases() []Basis { return []Basis{Recorded, Documented, Witnessed, Assumed, Ours} }

// Rule is a statement about Google's servers, or about the emulator where it differs on purpose.
type Rule struct {
	Basis     Basis
	Statement string
	Shown     []string // names of the exchanges that show it
}

// Read reads the scripts whose paths match a pattern of [path.Match].
func Read(files fs.FS, pattern string) ([]Script, error) {
	names, err := fs.Glob(files, pattern)
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no script matches %q", pattern)
	}
	scripts := make([]Script, 0, len(names))
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		script, err := parse(strings.TrimSuffix(path.Base(name), ".txtar"), text)
		if err != nil {
			return nil, fmt.Errorf("script %q: %w", name, err)
		}
		scripts = append(scripts, script)
	}
	return scripts, nil
}

func parse(route string, text []byte) (Script, error) {
	archive := txtar.Parse(text)
	script := Script{Route: route}
	for pair := range slices.Chunk(archive.Files, 2) {
		name := strings.TrimSuffix(pair[0].Name, ".request")
		if len(pair) < 2 || name == pair[0].Name || pair[1].Name != name+".response" {
			return Script{}, fmt.Errorf("%q is not a request that its response follows", pair[0].Name)
		}
		if _, ok := script.Exchange(name); ok {
			return Script{}, fmt.Errorf("there are two exchanges %q", name)
		}
		script.Exchanges = append(script.Exchanges, Exchange{Name: name, Request: string(pair[0].Data), Response: string(pair[1].Data)})
	}
	err := script.readRules(string(archive.Comment))
	return script, err
}

// readRules reads the lines before the first exchange.
func (s *Script) readRules(comment string) error {
	for line := range strings.Lines(comment) {
		line = strings.TrimSuffix(line, "\n")
		names, indented := strings.CutPrefix(line, "\t")
		switch {
		case !indented && strings.HasPrefix(line, "rule "):
			rule, err := parseRule(line)
			if err != nil {
				return err
			}
			s.Rules = append(s.Rules, rule)
		case !indented: // prose
		case len(s.Rules) == 0:
			return fmt.Errorf("the exchanges %q belong to no rule", names)
		default:
			if err := s.show(&s.Rules[len(s.Rules)-1], strings.Fields(names)); err != nil {
				return err
			}
		}
	}
	for _, rule := range s.Rules {
		if len(rule.Shown) == 0 {
			return fmt.Errorf("no exchange shows the rule %q", rule.Statement)
		}
	}
	return nil
}

// parseRule reads "rule BASIS: STATEMENT".
func parseRule(line string) (Rule, error) {
	head, statement, _ := strings.Cut(line, ": ")
	basis := strings.TrimPrefix(head, "rule ")
	if statement == "" || !slices.Contains(bases(), Basis(basis)) {
		return Rule{}, fmt.Errorf("%q is not a rule, such as \"rule recorded: A value has no newline.\"; bases are %v", line, bases())
	}
	return Rule{Basis: Basis(basis), Statement: statement}, nil
}

// show adds exchanges to a rule.
func (s *Script) show(rule *Rule, names []string) error {
	for _, name := range names {
		if _, ok := s.Exchange(name); !ok {
			return fmt.Errorf("the rule %q is shown by %q, which is not an exchange", rule.Statement, name)
		}
	}
	rule.Shown = append(rule.Shown, names...)
	return nil
}

// Exchange returns the exchange with a name.
func (s *Script) Exchange(name string) (Exchange, bool) {
	i := slices.IndexFunc(s.Exchanges, func(e Exchange) bool { return e.Name == name })
	if i < 0 {
		return Exchange{}, false
	}
	return s.Exchanges[i], true
}

// RulesOf returns the rules that an exchange shows.
func (s *Script) RulesOf(exchange string) []Rule {
	var rules []Rule
	for _, rule := range s.Rules {
		if slices.Contains(rule.Shown, exchange) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// Pattern returns a regular expression for a text with <<REGEXP>> in it.
func Pattern(text string) *regexp.Regexp {
	var out strings.Builder
	for rest := text; ; {
		literal, after, more := strings.Cut(rest, "<<")
		out.WriteString(regexp.QuoteMeta(literal))
		if !more {
			return regexp.MustCompile(`\A` + out.String() + `\z`)
		}
		expression, remaining, _ := strings.Cut(after, ">>")
		out.WriteString("(?:" + expression + ")")
		rest = remaining
	}
}
