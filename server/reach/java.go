package reach

import "strings"

// nonProxyHosts is the property that keeps hosts from Java's proxy, for http and https. Without it
// these are the machine's own (https://docs.oracle.com/en/java/javase/21/core/java-networking.html).
const nonProxyHosts = "-Dhttp.nonProxyHosts"

// javaVariables give a Java virtual machine its options. Of a property that is given twice the last
// one counts, and of two variables the one that is further down.
func javaVariables() []string {
	return []string{"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}
}

// javaOptions are the options in a variable, without the quotes that hold together what has spaces.
func javaOptions(value string) []string {
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

// quoteJavaOption is an option as javaOptions reads it. There is no way to quote both quotes.
func quoteJavaOption(option string) string {
	switch {
	case option != "" && !strings.ContainsAny(option, " \t\n'\""):
		return option
	case strings.Contains(option, `"`):
		return "'" + option + "'"
	default:
		return `"` + option + `"`
	}
}

// isProperty tells whether an option gives a property, as in "-Dname", a value.
func isProperty(option, property string) bool {
	return option == property || strings.HasPrefix(option, property+"=")
}

// javaProperty is the value that options give a property, and whether they do.
func javaProperty(options []string, property string) (value string, given bool) {
	for _, option := range options {
		if isProperty(option, property) {
			_, value, _ = strings.Cut(option, "=")
			given = true
		}
	}
	return value, given
}

// matchesJavaPattern tells whether a pattern of nonProxyHosts, which may begin or end with an
// asterisk, holds for a host.
func matchesJavaPattern(host, pattern string) bool {
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
