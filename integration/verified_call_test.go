package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const verifiedCall = "examples/verified-call/"

// badTokens appends tokens that a service must refuse to a command, and runs it. A token that is not
// yet valid is not among them: Google's libraries for Go and Java do not look at nbf.
const badTokens = `
for defect in expired tampered unknown-key wrong-issuer wrong-audience alg-none; do
	set -- "$@" "$("$0" token id --audience https://service.example.com --defect $defect)"
done
exec "$@"`

// Each program gets an ID token with its own library, and calls its own service, which verifies
// tokens with Google's library for the language. Neither knows that the emulator is not Google.
func TestVerifiedCall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, program := range map[string]func(*testing.T) []string{
		"Go": func(t *testing.T) []string {
			t.Helper()
			binary := filepath.Join(t.TempDir(), "verified-call")
			if err := build(".", binary, "./"+verifiedCall); err != nil {
				t.Fatal(err)
			}
			return []string{binary}
		},
		"Node": func(t *testing.T) []string {
			t.Helper()
			needNode(t, theStage())
			return []string{theStage().Node, filepath.Join(besideModules(t, verifiedCall+"call.mjs"), "call.mjs")}
		},
		"Python": func(t *testing.T) []string {
			t.Helper()
			python, folder := googleAuth(t)
			return []string{"env", "PYTHONPATH=" + folder, "PYTHONDONTWRITEBYTECODE=1", python, verifiedCall + "call.py"}
		},
		"Java": func(t *testing.T) []string {
			t.Helper()
			return append(java(t, javaOfGcloud(t), verifiedCall+"Call.java"), "Call")
		},
		"Ruby": func(t *testing.T) []string {
			t.Helper()
			// Ruby looks a host up before it uses the proxy, to see whether it is this machine.
			r.asks = []string{"query for www.googleapis.com"}
			t.Cleanup(func() { r.asks = nil })
			return []string{rubyOfDebian(t), "-W0", verifiedCall + "call.rb"}
		},
		"shell": func(t *testing.T) []string {
			t.Helper()
			lookPath(t, "curl", "the script needs curl:")
			return []string{"./" + verifiedCall + "call.sh"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			command := append([]string{"sh", "-euc", badTokens, r.stage.Emulator}, program(t)...)
			output := string(r.execWith(t, []string{"--reach", "proxy"}, command...))
			t.Log(output)
			calls := strings.Split(strings.TrimSpace(output), "\n")
			if len(calls) != 7 || calls[0] != "200 "+defaultAccount {
				t.Errorf("its own token and 6 bad tokens: %q, want first %q", calls, "200 "+defaultAccount)
			}
			for _, call := range calls[1:] {
				if !strings.HasPrefix(call, "401 ") {
					t.Errorf("%q, want that a bad token is refused", call)
				}
			}
		})
	}
}

// besideModules returns a directory with copies of files and the installed packages, because Node
// looks for packages next to the importing file.
func besideModules(t *testing.T, files ...string) string {
	t.Helper()
	folder := t.TempDir()
	modules, err := filepath.Abs(filepath.Join(nodeFolder, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
