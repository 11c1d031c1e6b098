package compare

import (
	"regexp"
	"slices"
	"strings"

	"gcp-metadata-emulator/server/script"
)

// findings collects differences, each kind once.
type findings struct {
	list  []Difference
	rules []script.Rule
}

func newFindings(scripts []script.Script) *findings {
	found := &findings{}
	for _, wire := range scripts {
		found.rules = append(found.rules, wire.Rules...)
	}
	return found
}

// rulesOf returns the rules that a check shows.
func (f *findings) rulesOf(check string) []script.Rule {
	var rules []script.Rule
	for _, rule := range f.rules {
		if slices.Contains(rule.Checks, check) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// add adds a difference and the broken rules. If the list already has an equal difference, either of the header
// or with the same rules, add only counts it there. All differences in the order of header fields count as
// equal.
func (f *findings) add(d Difference, rules []script.Rule) {
	d.Count, d.rules = 1, rules
	if d.Aspect.isOfHeader() {
		d.rules = f.rulesOfField(d.field(), rules)
	}
	for i := range f.list {
		known := &f.list[i]
		same := known.Aspect == d.Aspect && known.Real == d.Real && known.Emulated == d.Emulated
		isSameRule := slices.EqualFunc(known.rules, d.rules, isRule)
		if same && (d.Aspect.isOfHeader() || isSameRule) || d.Aspect == FieldOrder && known.Aspect == FieldOrder {
			known.Count++
			known.rules = joinedRules(known.rules, d.rules)
			return
		}
	}
	f.list = append(f.list, d)
}

// rulesOfField returns the rules about a header field among the rules of a request, or else the rules about all
// headers.
func (f *findings) rulesOfField(field string, rules []script.Rule) []script.Rule {
	names := regexp.MustCompile("(?i)`[^`]*\\b" + regexp.QuoteMeta(field) + "\\b[^`]*`")
	isOther := func(r script.Rule) bool { return field == "" || !names.MatchString(r.Statement) }
	if of := slices.DeleteFunc(slices.Clone(rules), isOther); len(of) > 0 {
		return of
	}
	return f.rulesOf("every-header")
}

// field returns the name of the header field in which servers differ, or "" if they differ in the order.
func (d *Difference) field() string {
	if d.Aspect == FieldOrder {
		return ""
	}
	name, _ := split(map[bool]string{true: d.Emulated, false: d.Real}[d.Aspect == ExtraField])
	return name
}

func isRule(one, other script.Rule) bool { return one.Statement == other.Statement }

// joinedRules returns the rules of two lists, each once.
func joinedRules(some, more []script.Rule) []script.Rule {
	all := slices.Clone(some)
	for _, rule := range more {
		if !slices.ContainsFunc(all, func(known script.Rule) bool { return isRule(known, rule) }) {
			all = append(all, rule)
		}
	}
	return all
}

// described returns the differences with their rules in words.
func (f *findings) described() []Difference {
	for i := range f.list {
		d := &f.list[i]
		var statements, notes []string
		var all script.Rule
		for _, rule := range d.rules {
			statements = append(statements, rule.Statement)
			for _, basis := range rule.Bases {
				if !slices.Contains(all.Bases, basis) {
					all.Bases = append(all.Bases, basis)
				}
			}
			if rule.Here != "" {
				notes = append(notes, rule.Here)
			}
		}
		d.Rule, d.RestsOn, d.Here = strings.Join(statements, "; also: "), all.RestsOn(), strings.Join(notes, "; also: ")
	}
	return f.list
}
