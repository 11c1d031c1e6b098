package shell_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/reach/shell"
)

// hostile returns values that break careless notations. If one breaks out, it sets PWNED.
func hostile() []string {
	return []string{
		"", " ", "a b", " a ", "\t", "a#b", "a #b", "#", "'", "''", "a'b", `"`, `a"b`, `'"`, `"'`, "`export PWNED=1`", "$(export PWNED=1)", "$HOME", "${HOME}", "%PATH%",
		`\`, `a\`, `\\`, `a\'b`, `\n`, "a\nexport PWNED=1", "a\nPWNED=1", "a'\nPWNED=1\n'", "a\r\nPWNED=1", "a\rb", "\n", "a\n\n",
		"EOF\nPWNED=1", "a\nEOF\nPWNED=1", "a\nEOF_\nEOF\nPWNED=1\n", "a<<EOF", "=", "a=b", "'; export PWNED=1; '", "'; set -gx PWNED 1; '", "\\'; set -gx PWNED 1; '",
		"'; $Env:PWNED = 1; '", "\u2019; $Env:PWNED = 1; \u2018", "\u201a\u201b", "\u0451\u0452", "\U0001f511", "caf\u00e9", "a\x1bb", "!!", "~", "~root", "*", "a;b", "a&b|c", "(a)",
		"http://127.0.0.1:8254/", "C:\\Users\\me", "a\u2028b", "-n", "$'a'", `-Da="b c" '-De=f'`,
	}
}

func variables(values []string) (list []reach.Variable, want map[string]string) {
	want = map[string]string{}
	for i, value := range values {
		name := "V" + strconv.Itoa(i)
		list, want[name] = append(list, reach.Variable{Name: name, Value: value}), value
	}
	return list, want
}

// expressible returns the values that a format can express.
func expressible(t *testing.T, format string) []string {
	t.Helper()
	return slices.DeleteFunc(hostile(), func(value string) bool {
		_, err := shell.Write(format, []reach.Variable{{Name: "V", Value: value}}, nil)
		var refused *shell.ValueError
		if err != nil && (!errors.As(err, &refused) || refused.Hint() == "" || format != shell.Dotenv) {
			t.Errorf("%s, %q: %v", format, value, err)
		}
		return err != nil
	})
}

// Every shell that is installed reads the values as they are, and does nothing else.
func TestShells(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		format  string
		command []string // runs a script, to which the test adds a command that prints the environment
	}{
		{"posix", []string{"dash"}},
		{"sh", []string{"sh"}},
		{"bash", []string{"bash", "--norc"}},
		{"posix", []string{"busybox", "sh"}},
		{"zsh", []string{"zsh", "-f"}},
		{"zsh", []string{"zsh", "-f", "-o", "rcquotes"}},
		{"fish", []string{"fish", "--no-config"}},
		{"powershell", []string{"pwsh", "-NoProfile", "-File"}},
		{"dotenv", []string{"bash", "--norc", "-a"}},
		{"dotenv", []string{"dash", "-a"}},
	} {
		t.Run(strings.Join(test.command, " "), func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(test.command[0])
			if err != nil {
				t.Skip(err)
			}
			set, want := variables(expressible(t, test.format))
			text, err := shell.Write(test.format, set, []string{"GONE", "NEVER_SET"})
			if err != nil {
				t.Fatal(err)
			}
			if test.format != shell.PowerShell {
				text += map[bool]string{true: "test $status = 0; or exit 7\n", false: "test $? = 0 || exit 7\n"}[test.format == shell.Fish]
			}
			script := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(script, []byte(text+"exec /usr/bin/env -0\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), path, append(test.command[1:], script)...)
			command.Env = []string{"HOME=" + t.TempDir(), "PATH=/nowhere"}
			if shell.Unsets(test.format) {
				command.Env = append(command.Env, "GONE=1")
			}
			out, err := command.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if diff := cmp.Diff(want, seen(string(out))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// seen returns the variables of the tests in the output of "env -0".
func seen(environment string) map[string]string {
	got := map[string]string{}
	for entry := range strings.SplitSeq(environment, "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "V") || name == "PWNED" || name == "GONE" {
			got[name] = value
		}
	}
	return got
}

// Node reads the format dotenv by itself.
func TestNodeReadsDotenv(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip(err)
	}
	set, want := variables(expressible(t, shell.Dotenv))
	text, err := shell.Write(shell.Dotenv, set, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), node, "-e", `const {parseEnv} = require("node:util"); process.stdout.write(JSON.stringify(
		parseEnv ? parseEnv(require("node:fs").readFileSync(process.argv[1], "utf8")) : null))`, file)
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(out) == "null" {
		t.Skip("this version of Node cannot read the format")
	}
	var got map[string]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, text)
	}
}

// The readers here follow the rules of the programs that read the formats.
func TestReaders(t *testing.T) {
	t.Parallel()
	for format, read := range readers() {
		set, want := variables(expressible(t, format))
		text, err := shell.Write(format, set, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(text)
		if err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func FuzzWrite(f *testing.F) {
	for _, value := range hostile() {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsRune(value, 0) {
			t.Skip("no variable has such a value")
		}
		for format, read := range readers() {
			text, err := shell.Write(format, []reach.Variable{{Name: "V", Value: value}, {Name: "LAST", Value: "1"}}, nil)
			if err != nil {
				continue
			}
			want := map[string]string{"V": value, "LAST": "1"}
			if format != shell.GitHub && format != shell.Posix {
				want["V"] = strings.ToValidUTF8(value, "\ufffd")
			}
			got, err := read(text)
			if format != shell.GitHub && format != shell.Posix {
				got["V"] = strings.ToValidUTF8(got["V"], "\ufffd")
			}
			if err != nil || len(got) != len(want) || !sameRunes(got["V"], want["V"]) || got["LAST"] != "1" {
				t.Errorf("%s: %q becomes %q, %v", format, value, got, err)
			}
		}
	})
}

// sameRunes compares texts in which several invalid bytes may have become one replacement or several.
func sameRunes(a, b string) bool {
	if a == b {
		return true
	}
	squeeze := func(text string) string {
		for strings.Contains(text, "\ufffd\ufffd") {
			text = strings.ReplaceAll(text, "\ufffd\ufffd", "\ufffd")
		}
		return text
	}
	return squeeze(a) == squeeze(b)
}

func readers() map[string]func(string) (map[string]string, error) {
	return map[string]func(string) (map[string]string, error){
		shell.Posix: readPosix, shell.PowerShell: readPowerShell, shell.GitHub: readGitHub, shell.JSON: readJSON,
	}
}

var errSyntax = errors.New("syntax error")

// readPosix reads export statements: single quotes, in which no character is special, and escaped
// quotes between them.
func readPosix(text string) (map[string]string, error) {
	got := map[string]string{}
	for text != "" {
		rest, isExport := strings.CutPrefix(text, "export ")
		name, rest, isSet := strings.Cut(rest, "=")
		if !isExport || !isSet {
			return got, errSyntax
		}
		value := ""
		for !strings.HasPrefix(rest, "\n") {
			if after, isEscaped := strings.CutPrefix(rest, `\'`); isEscaped {
				value, rest = value+"'", after
				continue
			}
			quoted, after, isClosed := strings.Cut(strings.TrimPrefix(rest, "'"), "'")
			if !strings.HasPrefix(rest, "'") || !isClosed {
				return got, errSyntax
			}
			value, rest = value+quoted, after
		}
		got[name], text = value, rest[1:]
	}
	return got, nil
}

// readPowerShell reads each line by itself, as "| Invoke-Expression" does: single quotes, of which
// five are the same to PowerShell and two stand for one, and characters by number.
func readPowerShell(text string) (map[string]string, error) {
	got := map[string]string{}
	for line := range strings.Lines(text) {
		name, expression, isSet := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "$Env:"), " = ")
		if !isSet {
			return got, fmt.Errorf("%w: %q", errSyntax, line)
		}
		value, runes := "", []rune(expression)
		for len(runes) > 0 {
			if rest, isNumber := strings.CutPrefix(string(runes), "[char]::ConvertFromUtf32("); isNumber {
				digits, after, _ := strings.Cut(rest, ")")
				number, err := strconv.Atoi(digits)
				if err != nil || number >= 0xd800 && number < 0xe000 {
					return got, errSyntax
				}
				value, runes = value+string(rune(number)), []rune(after)
			} else {
				end, text := quoted(runes)
				if end < 0 {
					return got, fmt.Errorf("%w: %q", errSyntax, line)
				}
				value, runes = value+text, runes[end:]
			}
			if len(runes) > 0 && !strings.HasPrefix(string(runes), " + ") {
				return got, fmt.Errorf("%w: %q", errSyntax, line)
			}
			runes = runes[min(len(runes), len(" + ")):]
		}
		got[name] = value
	}
	return got, nil
}

// quoted returns the text of the quotes at the beginning, and where they end, or -1.
func quoted(runes []rune) (end int, text string) {
	const quotes = "'\u2018\u2019\u201a\u201b"
	isQuote := func(i int) bool { return i < len(runes) && strings.ContainsRune(quotes, runes[i]) }
	if !isQuote(0) {
		return -1, ""
	}
	for i := 1; i < len(runes); i++ {
		if isQuote(i) {
			if !isQuote(i + 1) {
				return i + 1, text
			}
			i++
		}
		text += string(runes[i])
	}
	return -1, ""
}

// readGitHub follows the runner's own reader of GITHUB_ENV.
func readGitHub(text string) (map[string]string, error) {
	got := map[string]string{}
	lines := strings.Split(text, "\n")
	for len(lines) > 0 {
		line := lines[0]
		lines = lines[1:]
		equals, here := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case line == "":
		case equals >= 0 && (here < 0 || equals < here):
			got[line[:equals]] = line[equals+1:]
		case here >= 0:
			end := slices.Index(lines, line[here+2:])
			if end < 0 {
				return got, errSyntax
			}
			got[line[:here]] = strings.Join(lines[:end], "\n")
			lines = lines[end+1:]
		default:
			return got, errSyntax
		}
	}
	return got, nil
}

func readJSON(text string) (map[string]string, error) {
	var document struct {
		Set map[string]string `json:"set"`
	}
	err := json.Unmarshal([]byte(text), &document)
	return document.Set, err
}

// A name that is not the name of a variable is not written.
func TestNames(t *testing.T) {
	t.Parallel()
	odd := []string{"", "A B", "A;B", "1A", "A-B", "A\nB", "A(x)", "$(x)", "\u00c4"}
	var set []reach.Variable
	for _, name := range odd {
		set = append(set, reach.Variable{Name: name, Value: "x"})
	}
	for _, format := range shell.Formats() {
		text, err := shell.Write(format, set, odd)
		if err != nil || format != shell.JSON && strings.TrimPrefix(text, "true\n") != "" {
			t.Errorf("%s: %q, %v", format, text, err)
		}
	}
	text, err := shell.Write(shell.JSON, nil, []string{"GONE"})
	if want := "{\n  \"set\": {},\n  \"unset\": [\n    \"GONE\"\n  ]\n}\n"; err != nil || text != want {
		t.Errorf("%q, %v", text, err)
	}
}

// The format dotenv refuses only values about which its readers disagree.
func TestDotenvRefuses(t *testing.T) {
	t.Parallel()
	can := expressible(t, shell.Dotenv)
	for value, want := range map[string]bool{
		`-Da="b c" -Dd=e`: true, "it's": true, "a b #c": true, `C:\Users\me`: true, "$HOME": true, "a\nb": false, `'"`: false, `a\`: false, `\\server`: false, "${HOME}": false,
	} {
		if _, err := shell.Write(shell.Dotenv, []reach.Variable{{Name: "V", Value: value}}, nil); (err == nil) != want {
			t.Errorf("%q: %v", value, err)
		}
	}
	if all := len(hostile()); len(can) < all/2 || len(can) == all || all < 40 {
		t.Errorf("%d of %d values can be written", len(can), all)
	}
}
