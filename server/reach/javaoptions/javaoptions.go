// Package javaoptions reads and writes the environment variables that give a Java virtual machine
// its options: Java programs learn of a proxy and of trusted roots from these options alone.
//
// It knows the syntax of the variables. Package reach decides which options lead a program to an
// emulator, and package doctor follows given options.
package javaoptions

import "strings"

// NonProxyHosts is the property with the hosts that Java asks without its proxy, for http and
// https. If it is not set, Java does this for the names and addresses of the machine itself
// (https://docs.oracle.com/en/java/javase/21/core/java-networking.html).
const NonProxyHosts = "-Dhttp.nonProxyHosts"

// Variables returns the names of the environment variables that hold options. If a property is given
// twice, the last value counts; if two variables give it, the later variable in this list counts.
func Variables() []string {
	return []string{"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}
}

// Split returns the options in the value of a variable, without the quotes around options that
// contain spaces.
func Split(value string) []string {
	var options []string
	var option strings.Builder
	started, quote := false, rune(0)
	for _, r := range value {
		switch {
		case r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, started = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if started {
				options = append(options, option.String())
			}
			option.Reset()
			started = false
		default:
			_, _ = option.WriteRune(r) // it never fails
			started = true
		}
	}
	if started {
		options = append(options, option.String())
	}
	return options
}

// Quote returns an option in the form that Split reads. If an option contains both kinds of quotes,
// it cannot be written.
func Quote(option string) string {
	switch {
	case option != "" && !strings.ContainsAny(option, " \t\n'\""):
		return option
	case strings.Contains(option, `"`):
		return "'" + option + "'"
	default:
		return `"` + option + `"`
	}
}

// IsProperty reports whether an option sets a property, which is written as in "-Dname".
func IsProperty(option, property string) bool {
	return option == property || strings.HasPrefix(option, property+"=")
}

// Property returns the value of a property, and reports whether the options set it.
func Property(options []string, property string) (value string, given bool) {
	for _, option := range options {
		if IsProperty(option, property) {
			_, value, _ = strings.Cut(option, "=")
			given = true
		}
	}
	return value, given
}

// MatchesHost reports whether a host matches a pattern of NonProxyHosts, which may begin or end
// with an asterisk.
func MatchesHost(host, pattern string) bool {
	pattern = strings.ToLower(pattern)
	inner, isBegun := strings.CutPrefix(pattern, "*")
	inner, isEnded := strings.CutSuffix(inner, "*")
	switch {
	case pattern == "*", isBegun && isEnded && strings.Contains(host, inner):
		return true
	case isBegun && !isEnded:
		return strings.HasSuffix(host, inner)
	case isEnded && !isBegun:
		return strings.HasPrefix(host, inner)
	default:
		return pattern != "" && host == pattern
	}
}
