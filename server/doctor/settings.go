package doctor

import (
	"bufio"
	"bytes"
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gcp-metadata-emulator/server/reach/javaoptions"
)

// setting returns the value of a variable or of a property of gcloud or Java, and the rule with the
// source of the value.
func (s Surroundings) setting(name string) (value, rule string) {
	if strings.HasPrefix(name, "-D") {
		return s.javaSetting(name)
	}
	value, file := s.variable(name)
	switch {
	case value == "":
		return "", ""
	case file != "":
		return value, file + " has " + name + "=" + value
	default:
		return value, name + "=" + value
	}
}

// javaSetting is setting for a property of Java, which variables can pass to the virtual machine.
func (s Surroundings) javaSetting(property string) (value, rule string) {
	for _, variable := range slices.Backward(javaoptions.Variables()) {
		if value, isGiven := javaoptions.Property(javaoptions.Split(s.Variable(variable)), property); isGiven {
			return value, variable + " has " + property + "=" + value
		}
	}
	return "", ""
}

// variable returns the value of an environment variable, or of gcloud's property of the same meaning
// and the file that has it.
func (s Surroundings) variable(name string) (value, file string) {
	if name == "" {
		return "", ""
	}
	const config, activeConfig = "CLOUDSDK_CONFIG", "CLOUDSDK_ACTIVE_CONFIG_NAME"
	if value := s.Variable(name); value != "" || !strings.HasPrefix(name, "CLOUDSDK_") || name == config || name == activeConfig {
		return value, ""
	}
	active := s.Variable(activeConfig)
	if active == "" {
		content, _ := s.Read(s.path("CLOUDSDK_CONFIG/active_config")) // without the file, it is "default"
		active = strings.TrimSpace(string(content))
	}
	if active == "" {
		active = "default"
	}
	file = s.path("CLOUDSDK_CONFIG/configurations/config_" + active)
	content, _ := s.Read(file) // a missing file sets no properties
	return propertyOf(content, name), file
}

// propertyOf returns the value of gcloud's property for a variable in a configuration.
// CLOUDSDK_SECTION_NAME is the variable for the property NAME of the section SECTION.
func propertyOf(configuration []byte, variable string) string {
	section, value := "", ""
	for lines := bufio.NewScanner(bytes.NewReader(configuration)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if title, isTitle := strings.CutPrefix(line, "["); isTitle {
			section = strings.TrimSuffix(title, "]")
			continue
		}
		name, written, _ := strings.Cut(line, "=")
		if strings.EqualFold("CLOUDSDK_"+section+"_"+strings.TrimSpace(name), variable) {
			value = strings.TrimSpace(written)
		}
	}
	return value
}

// path replaces the beginning of a path that stands for the home directory or for the directory of
// gcloud's configuration.
func (s Surroundings) path(path string) string {
	home := filepath.Join(s.Home, ".config", "gcloud")
	if rest, ok := strings.CutPrefix(path, "CLOUDSDK_CONFIG/"); ok {
		return filepath.Join(cmp.Or(s.Variable("CLOUDSDK_CONFIG"), home), rest)
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(s.Home, rest)
	}
	return path
}

// file returns the credential file in a variable or at a path. If the file does not exist, the name
// is empty.
func (s Surroundings) file(reads string) (file string, by request) {
	if strings.Contains(reads, "/") {
		file = s.path(reads)
		if _, err := s.Read(file); err != nil {
			return "", request{}
		}
		remedy := "move the file away"
		switch {
		case strings.HasPrefix(reads, "CLOUDSDK_CONFIG/"):
			remedy = byEnv
		case strings.HasPrefix(reads, "~/"):
			remedy = "run it with another HOME, or move the file away"
		}
		return file, request{"it reads " + file, remedy}
	}
	for name := range strings.FieldsSeq(reads) {
		if value, rule := s.setting(name); value != "" {
			by = request{rule, "unset " + name}
			if s.Variable(name) == "" {
				by.remedy = byEnv // gcloud's configuration has it
			}
			return value, by
		}
	}
	return "", request{}
}

// holds reports whether a condition holds. by has the rule, and the remedy that ends the condition.
func (s Surroundings) holds(when condition) (by request, holds bool) {
	for _, alternative := range when {
		terms := strings.Fields(alternative)
		var rules, names []string
		for _, term := range terms {
			if rule, name := s.term(term); rule != "" {
				rules, names = append(rules, rule), append(names, name)
			}
		}
		if len(rules) < len(terms) {
			continue
		}
		by = request{strings.Join(rules, " and "), "unset " + strings.Join(names, " ")}
		if slices.ContainsFunc(names, func(name string) bool { return s.Variable(name) == "" }) {
			by.remedy = byEnv // gcloud's configuration has it
		}
		return by, true
	}
	return request{}, false
}

// term returns the rule by which a term of a condition holds, or "", and the variable of the term.
// If the term only asks whether the variable is set, the rule has no value, because the value may
// be secret.
func (s Surroundings) term(term string) (rule, name string) {
	if path, text, isFile := strings.Cut(term, "^"); isFile {
		return s.beginning(s.path(path), text), ""
	}
	name, values := term, ""
	if at := strings.IndexAny(term, "=~!"); at >= 0 {
		name, values = term[:at], term[at:]
	}
	value, rule := s.setting(name)
	isListed := values != "" && slices.ContainsFunc(strings.Split(values[1:], "|"), func(one string) bool {
		return strings.EqualFold(strings.TrimSpace(value), one)
	})
	switch {
	case value == "",
		strings.HasPrefix(values, "=") && value != values[1:],
		strings.HasPrefix(values, "~") && !isListed,
		strings.HasPrefix(values, "!") && isListed:
		return "", name
	case values == "" && s.Variable(name) != "":
		return name + " is set", name
	default:
		return rule, name
	}
}

// beginning returns the rule "the file exists and begins with the text", or "" if it does not hold. The
// text may end with "<" and an age; the file must be younger.
func (s Surroundings) beginning(file, text string) string {
	if text == "" {
		if _, err := s.Age(file); err != nil { // clients look for a file that they cannot read, too
			return ""
		}
		return file + " exists"
	}
	text, limit, isLimited := strings.Cut(text, "<")
	if isLimited {
		longest, _ := time.ParseDuration(limit) // the table has valid durations only
		if age, err := s.Age(file); err != nil || age >= longest {
			return ""
		}
	}
	if content, err := s.Read(file); err != nil || !strings.HasPrefix(string(content), text) {
		return ""
	}
	return file + " says " + text
}
