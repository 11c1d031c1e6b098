// Package shell writes environment variables for shells and for files that other programs read. A
// value, however odd, only sets its variable.
//
// Package reach decides which variables there are.
package shell

import (
	"encoding/json"
	"fmt"
	"strings"

	"gcp-metadata-emulator/server/reach"
)

// The formats of variables.
const (
	Posix      = "posix"
	Fish       = "fish"
	PowerShell = "powershell"
	Dotenv     = "dotenv"
	GitHub     = "github"
	JSON       = "json"
)

// Formats returns the names of all formats. Different names can stand for the same format.
func Formats() []string {
	return []string{Posix, "sh", "bash", "zsh", Fish, PowerShell, Dotenv, GitHub, JSON}
}

// Unsets reports whether a format can unset variables.
func Unsets(format string) bool { return format != Dotenv && format != GitHub }

// Write returns statements that set variables and unset names. It leaves out names that no shell
// allows. If a format cannot unset variables, it ignores names to unset.
func Write(format string, set []reach.Variable, unset []string) (string, error) {
	if format == JSON {
		return inJSON(set, unset)
	}
	write := statementsOf(format)
	var out strings.Builder
	for _, variable := range set {
		if !isName(variable.Name) {
			continue
		}
		statement, err := write.set(variable.Name, variable.Value)
		if err != nil {
			return "", err
		}
		out.WriteString(statement + "\n")
	}
	for _, name := range unset {
		if isName(name) && write.unset != "" {
			out.WriteString(write.unset + name + "\n")
		}
	}
	out.WriteString(write.end)
	return out.String(), nil
}

// isName reports whether a text is the name of a variable in every shell.
func isName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return text != "" && strings.Trim(text, letters+"0123456789") == "" && strings.ContainsRune(letters, rune(text[0]))
}

// statements are the statements of a format.
type statements struct {
	set   func(name, value string) (string, error)
	unset string // is followed by the name; empty: the format cannot unset variables
	end   string // the last statement, if the others may leave a status other than success
}

func statementsOf(format string) statements {
	switch format {
	case Fish:
		return statements{always(inFish), "set -e ", "true\n"} // "set -e" fails for a variable that is not set
	case PowerShell:
		return statements{always(inPowerShell), "Remove-Item -ErrorAction SilentlyContinue Env:", ""}
	case Dotenv:
		return statements{inDotenv, "", ""}
	case GitHub:
		return statements{always(inGitHub), "", ""}
	default:
		return statements{always(inPosix), "unset ", ""}
	}
}

// always makes the function of a format that can express every value.
func always(write func(name, value string) string) func(name, value string) (string, error) {
	return func(name, value string) (string, error) { return write(name, value), nil }
}

func inPosix(name, value string) string {
	return "export " + name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

func inFish(name, value string) string {
	return "set -gx " + name + " '" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(value) + "'"
}

// inPowerShell writes everything but printable ASCII as a number. PowerShell reads the output of a
// program line by line and with the encoding of the system. It takes typographic quotes for quotes,
// and in some encodings the bytes of other letters are such quotes.
func inPowerShell(name, value string) string {
	var text strings.Builder
	for _, r := range value {
		switch {
		case r == '\'':
			text.WriteString("''")
		case r >= ' ' && r <= '~':
			text.WriteRune(r)
		default:
			fmt.Fprintf(&text, "' + [char]::ConvertFromUtf32(%d) + '", r)
		}
	}
	return "$Env:" + name + " = '" + text.String() + "'"
}

// inGitHub writes a line of the file GITHUB_ENV, or several lines up to a delimiter that the value
// lacks (https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions).
func inGitHub(name, value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return name + "=" + value
	}
	delimiter := "EOF"
	for strings.Contains(value, delimiter) {
		delimiter += "_"
	}
	return name + "<<" + delimiter + "\n" + value + "\n" + delimiter
}

// ValueError is a value that a format cannot express.
type ValueError struct {
	Name, Format string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("the value of %q cannot be written as %s, because the programs that read this format disagree about its characters", e.Name, e.Format)
}

// Hint advises the user.
func (e *ValueError) Hint() string {
	return "use --shell json, or unset " + e.Name
}

// inDotenv writes a line that a shell, Docker Compose, Node, Python and Ruby read alike. If a value
// has only harmless characters, it gets no quotes, because "docker run --env-file" takes quotes
// literally.
func inDotenv(name, value string) (string, error) {
	switch {
	case isHarmless(value):
		return name + "=" + value, nil
	case !strings.ContainsAny(value, "'\r\n\x00") && !isEscape(value) && !strings.Contains(value, "${"):
		return name + "='" + value + "'", nil
	case !strings.ContainsAny(value, "\"\\$`\r\n\x00"):
		return name + `="` + value + `"`, nil
	default:
		return "", &ValueError{name, Dotenv}
	}
}

// isHarmless reports whether no reader gives any character of a value a meaning.
func isHarmless(value string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,-"
	return strings.Trim(value, letters) == ""
}

// isEscape reports whether some readers take a backslash in the value for the beginning of an escape,
// even in single quotes: before another backslash, or at the end before the quote.
func isEscape(value string) bool {
	return strings.Contains(value, `\\`) || strings.HasSuffix(value, `\`)
}

func inJSON(set []reach.Variable, unset []string) (string, error) {
	document := struct {
		Set   map[string]string `json:"set"`
		Unset []string          `json:"unset"`
	}{Set: map[string]string{}, Unset: append([]string{}, unset...)}
	for _, variable := range set {
		document.Set[variable.Name] = variable.Value
	}
	encoded, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode the environment: %w", err)
	}
	return string(encoded) + "\n", nil
}
