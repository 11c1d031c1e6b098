package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"gcp-metadata-emulator/server/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gcp-metadata-emulator": func() { os.Exit(cli.Main()) },
		"print-environment":     printEnvironment,
		"wait-for-file":         waitForFile,
		"fetch":                 fetch,
		"fetch-anywhere":        fetchAnywhere,
		"send":                  send,
		"await-waiter":          awaitWaiter,
		"await-line":            awaitLine,
		"end-by-signal":         endBySignal,
		"await-signal":          awaitSignal,
	})
}

// The scripts show what a person sees: output, exit codes, files.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else every process takes a second to end
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "namespace":
				return exec.Command("unshare", "--map-root-user", "--net", "--mount", "true").Run() == nil, nil
			default:
				return false, errors.New("there is no such condition")
			}
		},
	})
}
