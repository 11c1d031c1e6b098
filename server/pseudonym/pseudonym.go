// Package pseudonym replaces identifiers and secrets in a text by names of their kind: EMAIL-1, IP-1,
// TOKEN-1. Two equal values get the same name, so a reader can still compare them. It also knows which words
// are plain, so a caller can replace every other word.
//
// It does not redact the journal and the log: package journal does, without distinguishing secrets.
package pseudonym

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Kind is the kind of a value. It is a part of the value's name.
type Kind string

// The kinds of values.
const (
	Key     Kind = "KEY"     // a private or public key, or a certificate
	Token   Kind = "TOKEN"   // an access token or a JWT
	Login   Kind = "LOGIN"   // a user and a password before the host of a URL
	Email   Kind = "EMAIL"   // an e-mail address, of an account too
	IP      Kind = "IP"      // an address
	MAC     Kind = "MAC"     // an address of an interface
	ID      Kind = "ID"      // a number or hexadecimal digits of a project, an instance or an account
	Project Kind = "PROJECT" // the ID of a project
	Name    Kind = "NAME"    // a name that a user chose
	Value   Kind = "VALUE"   // a value that a user chose, such as that of an attribute
	Word    Kind = "WORD"    // a word that is not plain
)

// Names gives names to values. It is safe for concurrent use.
type Names struct {
	mu      sync.Mutex
	prefix  string // of all names
	forms   []form
	names   map[string]string
	counted map[string]int    // by kind
	learnt  []string          // values that no form shows
	known   map[string]bool   // words that may stay
	learner *strings.Replacer // of the learnt values; nil: it has to be made
}

// New returns names for identifiers and for secrets.
func New() *Names { return newNames("", forms()) }

// NewOfSecrets returns names only for secrets, such as keys and tokens. All names begin with a prefix.
func NewOfSecrets(prefix string) *Names {
	return newNames(prefix, slices.DeleteFunc(slices.Clone(forms()), func(f form) bool { return !slices.Contains([]Kind{Key, Token, Login}, f.kind) }))
}

func newNames(prefix string, forms []form) *Names {
	return &Names{prefix: prefix, forms: forms, names: map[string]string{}, counted: map[string]int{}, known: map[string]bool{}}
}

// Learn makes Redact replace a value without a form of its own, in every usual encoding. It ignores values of
// one or two letters, which occur everywhere.
func (n *Names) Learn(kind Kind, value string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.learn(kind, value)
}

func (n *Names) learn(kind Kind, value string) {
	const shortest = 3
	if len(value) < shortest || isWellKnown(value) || slices.Contains(n.learnt, value) {
		return
	}
	n.name(kind, value)
	n.learnt, n.learner = append(n.learnt, value), nil
}

// Hide returns the name of a value, and learns the value.
func (n *Names) Hide(kind Kind, value string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.learn(kind, value)
	return n.name(kind, value)
}

// Name returns the name of a value, and does not learn it: Redact keeps it unless it has a form.
func (n *Names) Name(kind Kind, value string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.name(kind, value)
}

// Allow makes RedactWords keep the words of a text.
func (n *Names) Allow(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, word := range words().FindAllString(text, -1) {
		n.known[word] = true
	}
}

// Hidden returns the number of values that have names.
func (n *Names) Hidden() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.names)
}

// isWellKnown reports whether a value says nothing about anybody, although a user could have chosen it.
func isWellKnown(value string) bool {
	return slices.Contains([]string{"default", "true", "false", "none", "googleapis.com", "google"}, strings.ToLower(value))
}

// Redact returns the text with names in place of values, also of values in JSON strings with needless escapes.
func (n *Names) Redact(text string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.redact(text)
}

// RedactForms is Redact for a text that may have learnt values by chance, such as the name of an instance.
func (n *Names) RedactForms(text string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.redactForms(text)
}

// RedactWords is Redact, and also replaces each word unless it is plain or allowed. On a line with escapes,
// it also replaces plain words, unless they are very short, because it cannot find the beginning of a word
// after an escape.
func (n *Names) RedactWords(text string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	const short = 3
	var out strings.Builder
	for line := range strings.Lines(n.redact(text)) {
		hasEscapes := strings.Contains(line, `\`)
		out.WriteString(words().ReplaceAllStringFunc(line, func(word string) string {
			if n.known[word] || isPlainWord(word) && (!hasEscapes || len(word) <= short) {
				return word
			}
			return n.name(Word, word)
		}))
	}
	return out.String()
}

func (n *Names) redact(text string) string {
	text = n.redactPlainly(text)
	return literals().ReplaceAllStringFunc(text, func(literal string) string {
		var decoded string
		if !strings.Contains(literal, `\`) || json.Unmarshal([]byte(literal), &decoded) != nil {
			return literal
		}
		redacted := n.redact(decoded) // which may be JSON itself, and is shorter
		if redacted == decoded {
			return literal
		}
		return `"` + escaped(redacted, false) + `"`
	})
}

// redactPlainly replaces the values that stand in a text as they are, or in a usual encoding.
func (n *Names) redactPlainly(text string) string {
	if n.learner == nil {
		n.learner = n.replacer()
	}
	return n.redactForms(n.learner.Replace(text))
}

func (n *Names) redactForms(text string) string {
	for _, form := range n.forms {
		text = form.pattern.ReplaceAllStringFunc(text, func(found string) string {
			groups := form.pattern.FindStringSubmatch(found)
			value := groups[len(groups)-1]
			if form.isPublic != nil && form.isPublic(value) {
				return found
			}
			return strings.TrimSuffix(found, value) + n.name(form.kind, value)
		})
	}
	return text
}

// replacer returns a replacer of the learnt values in all encodings. If a value contains others, it comes
// before them.
func (n *Names) replacer() *strings.Replacer {
	instead := map[string]string{}
	for _, value := range n.learnt {
		for _, encoded := range encodings(value) {
			if _, taken := instead[encoded]; !taken {
				instead[encoded] = n.names[value]
			}
		}
	}
	var pairs []string
	for _, encoded := range slices.SortedFunc(maps.Keys(instead), func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) }) {
		pairs = append(pairs, encoded, instead[encoded])
	}
	return strings.NewReplacer(pairs...)
}

// name returns the name of a value. A value that was learnt as another kind keeps its name.
func (n *Names) name(kind Kind, value string) string {
	if name, ok := n.names[value]; ok {
		return name
	}
	n.counted[string(kind)]++
	name := fmt.Sprintf("%s%s-%d", n.prefix, kind, n.counted[string(kind)])
	n.names[value] = name
	return name
}

var literals = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"(?:[^"\\\n]|\\.)*"`) }) //nolint:gochecknoglobals // compiled once, when it is first needed
