// Package pseudonym replaces what identifies somebody or opens something in a text by names of its kind:
// EMAIL-1, IP-1, TOKEN-1. Two equal values get the same name, so that a reader can still compare them.
//
// It does not redact the journal and the log: package journal does, without telling secrets apart.
package pseudonym

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Kind is what a value is. It is the first part of the value's name.
type Kind string

// The kinds of values.
const (
	Key     Kind = "KEY"     // a private or public key, or a certificate
	Token   Kind = "TOKEN"   // an access token or a JWT
	Email   Kind = "EMAIL"   // an e-mail address, of an account too
	IP      Kind = "IP"      // an address
	MAC     Kind = "MAC"     // an address of an interface
	ID      Kind = "ID"      // a number or hexadecimal digits of a project, an instance or an account
	Project Kind = "PROJECT" // the ID of a project
	Name    Kind = "NAME"    // a name that a user chose
	Value   Kind = "VALUE"   // a value that a user chose, such as that of an attribute
)

// Names gives names to values. It is safe for concurrent use.
type Names struct {
	mu      sync.Mutex
	names   map[string]string
	counted map[string]int // by kind
	learnt  []string       // values that no form shows, the longest first
}

// New returns names without values.
func New() *Names { return &Names{names: map[string]string{}, counted: map[string]int{}} }

// Learn makes Redact replace a value that has no form of its own. It ignores values of one or two letters,
// which are everywhere.
func (n *Names) Learn(kind Kind, value string) {
	const shortest = 3
	if len(value) < shortest || isWellKnown(value) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if slices.Contains(n.learnt, value) {
		return
	}
	n.name(kind, value)
	n.learnt = append(n.learnt, value)
	slices.SortStableFunc(n.learnt, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

// isWellKnown reports whether a value says nothing about anybody, although a user could have chosen it.
func isWellKnown(value string) bool {
	return slices.Contains([]string{"default", "true", "false", "none", "googleapis.com", "google"}, strings.ToLower(value))
}

// Redact returns the text with names in place of values.
func (n *Names) Redact(text string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, form := range forms() {
		text = n.redact(text, form)
	}
	var pairs []string
	for _, value := range n.learnt {
		pairs = append(pairs, value, n.names[value])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func (n *Names) redact(text string, f form) string {
	return f.pattern.ReplaceAllStringFunc(text, func(value string) string {
		if f.isPublic != nil && f.isPublic(value) {
			return value
		}
		return n.name(f.kind, value)
	})
}

// name returns the name of a value. A value that was learnt as another kind keeps its name.
func (n *Names) name(kind Kind, value string) string {
	if name, ok := n.names[value]; ok {
		return name
	}
	n.counted[string(kind)]++
	name := fmt.Sprintf("%s-%d", kind, n.counted[string(kind)])
	n.names[value] = name
	return name
}

// form is how values of a kind look.
type form struct {
	kind     Kind
	pattern  *regexp.Regexp
	isPublic func(value string) bool // nil: no value is public
}

// forms returns the forms. A form stands before the forms that match parts of its values.
func forms() []form {
	return formsOnce()
}

var formsOnce = sync.OnceValue(func() []form { //nolint:gochecknoglobals // expressions are compiled once, when they are first needed
	return []form{
		{kind: Key, pattern: regexp.MustCompile(`-----BEGIN [A-Z0-9 ]+-----(?:[^-]|-[^-]|\\n)*(?:-----END [A-Z0-9 ]+-----)?`)},
		{kind: Key, pattern: regexp.MustCompile(`\b(?:ssh-[a-z0-9]+|ecdsa-sha2-[a-z0-9]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]{16,}`)},
		{kind: Key, pattern: regexp.MustCompile(`\bAIza[A-Za-z0-9_-]{35}`)},
		{kind: Token, pattern: regexp.MustCompile(`\beyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?`)},
		{kind: Token, pattern: regexp.MustCompile(`\bya29\.[A-Za-z0-9._~-]*[A-Za-z0-9_~-]`)},
		{kind: Token, pattern: regexp.MustCompile(`\b1//0[A-Za-z0-9_-]{8,}|\bGOCSPX-[A-Za-z0-9_-]+`)},
		{kind: Email, pattern: regexp.MustCompile(`[A-Za-z0-9._+-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)},
		{kind: MAC, pattern: regexp.MustCompile(`\b(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\b`)},
		{kind: IP, pattern: regexp.MustCompile(`\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b`), isPublic: isPublicIP},
		{kind: IP, pattern: regexp.MustCompile(`(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){0,7}|(?:[0-9a-fA-F]{1,4}:)+:(?:[0-9a-fA-F]{1,4})?`), isPublic: isPublicIP},
		{kind: ID, pattern: regexp.MustCompile(`\b[0-9a-f]{24,}\b`)},
		{kind: ID, pattern: regexp.MustCompile(`\b[0-9]{10,}\b`)},
	}
})

// isPublicIP reports whether an address is the same for everybody, or is not an address at all, such as a
// time of day.
func isPublicIP(text string) bool {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return true
	}
	isMask := strings.HasPrefix(text, "255.")
	return address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() || isMask
}
