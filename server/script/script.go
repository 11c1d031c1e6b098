// Package script owns the form of the wire scripts: requests, the expected answers, and the rules
// that they show. Tests check the emulator with the scripts, and package compare sends the same
// requests to a real server.
//
// It does not own the scripts themselves, which are files, or the values of variables, which its
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
//	section Answers
//	rule R D: scalars end without a newline
//		here: an exception of the emulator
//		value number check:every-value
//
// where the last line names exchanges that show the rule, and checks of package compare.
type Script struct {
	Route     string     `json:"route"` // the name of the operation, such as mds.token
	Rules     []Rule     `json:"rules"`
	Exchanges []Exchange `json:"exchanges"`
}

// Exchange is a request and the answer that is expected.
type Exchange struct {
	Name string `json:"name"`

	// Request is a request line, header fields and a body, in lines. ${NAME} stands for a value.
	Request string `json:"request"`

	// Response is a status, some of the header fields, with the case of their names, and the whole body.
	// <<REGEXP>> stands for text that varies. A field "-NAME" must be absent.
	Response string `json:"response"`
}

// Basis is a ground on which a rule rests.
type Basis string

// The bases of rules, the strongest first.
const (
	Recorded   Basis = "R"    // recorded from a real server
	Documented Basis = "D"    // Google's documentation
	Witnessed  Basis = "W"    // an indirect witness: a client, a test or a report
	Assumed    Basis = "A"    // our assumption, because nothing is known
	Ours       Basis = "ours" // the emulator differs on purpose
)

func bases() []Basis { return []Basis{Recorded, Documented, Witnessed, Assumed, Ours} }

// Rule is a statement about Google's servers, or about the emulator if it differs on purpose.
type Rule struct {
	Section   string   `json:"section"`
	Bases     []Basis  `json:"bases"`
	Statement string   `json:"statement"`
	Here      string   `json:"here"`   // how the emulator departs from it; empty: it keeps the rule
	Shown     []string `json:"shown"`  // names of the exchanges that show it
	Checks    []string `json:"checks"` // names of the checks that show it, because one exchange cannot
}

// RestsOn returns the bases, separated by spaces.
func (r Rule) RestsOn() string {
	words := make([]string, 0, len(r.Bases))
	for _, basis := range r.Bases {
		words = append(words, string(basis))
	}
	return strings.Join(words, " ")
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

// Of returns the scripts of the routes with one of the prefixes.
func Of(scripts []Script, prefixes ...string) []Script {
	var found []Script
	for _, wire := range scripts {
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(wire.Route, prefix) }) {
			found = append(found, wire)
		}
	}
	return found
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
	section := ""
	for line := range strings.Lines(comment) {
		line = strings.TrimSuffix(line, "\n")
		word, rest, _ := strings.Cut(line, " ")
		var err error
		switch {
		case strings.HasPrefix(line, "\t"):
			err = s.extend(strings.TrimPrefix(line, "\t"))
		case word == "section":
			section = rest
		case word == "rule":
			err = s.add(section, rest)
		}
		if err != nil {
			return err
		}
	}
	for _, rule := range s.Rules {
		if len(rule.Shown)+len(rule.Checks) == 0 {
			return fmt.Errorf("nothing shows the rule %q", rule.Statement)
		}
	}
	return nil
}

// add reads "BASIS...: STATEMENT".
func (s *Script) add(section, text string) error {
	head, statement, _ := strings.Cut(text, ": ")
	rule := Rule{Section: section, Statement: statement}
	for basis := range strings.FieldsSeq(head) {
		rule.Bases = append(rule.Bases, Basis(basis))
	}
	isUnknown := func(b Basis) bool { return !slices.Contains(bases(), b) }
	if statement == "" || len(rule.Bases) == 0 || slices.ContainsFunc(rule.Bases, isUnknown) {
		return fmt.Errorf("%q is not a rule, such as \"R D: a value has no newline\"; bases are %v", text, bases())
	}
	s.Rules = append(s.Rules, rule)
	return nil
}

// extend adds a note, or the names of exchanges and checks, to the last rule.
func (s *Script) extend(text string) error {
	if len(s.Rules) == 0 {
		return fmt.Errorf("%q belongs to no rule", text)
	}
	rule := &s.Rules[len(s.Rules)-1]
	if note, ok := strings.CutPrefix(text, "here: "); ok {
		rule.Here = note
		return nil
	}
	for name := range strings.FieldsSeq(text) {
		if check, ok := strings.CutPrefix(name, "check:"); ok {
			rule.Checks = append(rule.Checks, check)
			continue
		}
		if _, ok := s.Exchange(name); !ok {
			return fmt.Errorf("the rule %q is shown by %q, which is not an exchange", rule.Statement, name)
		}
		rule.Shown = append(rule.Shown, name)
	}
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

// pattern returns a regular expression for a text with <<REGEXP>> in it.
func pattern(text string) *regexp.Regexp {
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
