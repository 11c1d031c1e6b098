package cli_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v4"

	"gcp-metadata-emulator/server/background"
	"gcp-metadata-emulator/server/cli"
	"gcp-metadata-emulator/server/reach"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"gcp-metadata-emulator": func() { os.Exit(cli.Main()) },
		"print-environment":     printEnvironment,
		"wait-for-file":         waitForFile,
		"fetch":                 fetch,
		"fetch-anywhere":        fetchAnywhere,
		"send":                  send,
		"visit":                 visit,
		"echo-requests":         echoRequests,
		"receive-tokens":        receiveTokens,
		"await-waiter":          awaitWaiter,
		"await-line":            awaitLine,
		"end-by-signal":         endBySignal,
		"await-signal":          awaitSignal,
		"fill-tunnels":          fillTunnels,
		"exhaust-files":         exhaustFiles,
	})
}

// The scripts check output, exit codes and files.
func TestScripts(t *testing.T) {
	t.Parallel()
	if signal.Ignored(os.Interrupt) { // as in what a shell without job control starts with "&"; the scripts' shells could not trap it
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			scripts, err := filepath.Abs(filepath.Join("..", "..", "scripts"))
			if err != nil {
				return err
			}
			env.Setenv("SCRIPTS", scripts)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // otherwise every process takes a second to end
			env.Setenv("XDG_RUNTIME_DIR", filepath.Join(env.WorkDir, "runtime"))
			env.Defer(func() { stopAll(t, env) })
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "cluster":
				return isForClusters, nil
			case "namespace":
				return exec.Command("unshare", "--map-root-user", "--net", "--mount", "true").Run() == nil, nil
			default:
				return false, errors.New("there is no such condition")
			}
		},
	})
}

// stopAll ends the emulators that a script has left in the background, and no others: it looks only
// at records in the script's own directory.
func stopAll(t *testing.T, env *testscript.Env) {
	t.Helper()
	var dirs []string
	_ = filepath.WalkDir(env.WorkDir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == "background" {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, run := range background.All(dirs...) {
		if run.IsRunning() {
			t.Errorf("a script has left process %d running", run.Process)
			if err := run.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
}

// The sidecar for Docker Compose has the same names as the hosts file, and the application next
// to it needs no variable.
func TestCompose(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("..", "..", "scripts", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			ExtraHosts  []string       `yaml:"extra_hosts"`
			Environment map[string]any `yaml:"environment"`
			Volumes     []string       `yaml:"volumes"`
		} `yaml:"services"`
		Volumes map[string]any `yaml:"volumes"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, line := range reach.HostsLines() {
		for _, name := range line.Names {
			want = append(want, name+"="+line.Address)
		}
	}
	if diff := cmp.Diff(want, file.Services["emulator"].ExtraHosts); diff != "" {
		t.Errorf("extra_hosts (-want +got):\n%s", diff)
	}
	application := file.Services["application"]
	if application.Environment != nil || !slices.Equal(application.Volumes, []string{"roots:/etc/ssl/certs:ro"}) {
		t.Errorf("the application is told something: %+v", application)
	}
	for name, service := range file.Services {
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, declared := file.Volumes[source]; !declared {
				t.Errorf("service %s: volume %q is not declared", name, source)
			}
		}
	}
}
