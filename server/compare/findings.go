package compare

import (
	"slices"

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

// ruleOf returns the rule that a check shows, or an empty rule.
func (f *findings) ruleOf(check string) script.Rule {
	i := slices.IndexFunc(f.rules, func(r script.Rule) bool { return slices.Contains(r.Checks, check) })
	if i < 0 {
		return script.Rule{}
	}
	return f.rules[i]
}

// add adds a difference that breaks a rule. If many answers have the same header, the difference in the
// header is one, and breaks the rule of the header. Differences in the body of the same request are one.
func (f *findings) add(d Difference, rule script.Rule) {
	d.Count = 1
	if d.Aspect.isOfHeader() {
		rule = f.ruleOf("every-header")
	}
	d.Rule, d.RestsOn, d.Here = rule.Statement, rule.RestsOn(), rule.Here
	for i, known := range f.list {
		same := known.Aspect == d.Aspect && known.Real == d.Real && known.Emulated == d.Emulated
		if same && (d.Aspect.isOfHeader() || known.Rule == d.Rule) || d.Aspect == FieldOrder && known.Aspect == FieldOrder {
			f.list[i].Count++
			return
		}
	}
	f.list = append(f.list, d)
}
