package integration_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// example is an example test that starts its own emulator.
type example struct {
	file        string
	folder      string // the directory to run it in
	environment []string
	command     []string
	says        string // its output if it passes
	lines       int    // the length that the README promises
}

// run runs an example with the given program as the command "gcp-metadata-emulator", and returns
// its output. It waits for all processes that the example started.
func (e example) run(t *testing.T, emulator string) (string, error) {
	t.Helper()
	prepared := theStage()
	r := &rig{stage: prepared, home: t.TempDir()}
	before := len(readEscapes(prepared.Escapes))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var said bytes.Buffer
	run := exec.CommandContext(ctx, e.command[0], e.command[1:]...)
	run.Dir, run.Stdout, run.Stderr, run.WaitDelay = e.folder, &said, &said, patience
	run.Env = append(r.environment(), e.environment...)
	run.Env = append(run.Env, "PATH="+filepath.Dir(emulator)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"GOOGLE_APPLICATION_CREDENTIALS=/of/the/developer.json")
	endWithParent(run)
	err := run.Run()
	if ctx.Err() != nil {
		t.Errorf("%q goes on\n%s", e.command, &said)
	}
	if escapes := readEscapes(prepared.Escapes)[before:]; len(escapes) > 0 {
		t.Errorf("%q tried to leave the machine: %q", e.command, escapes)
	}
	return said.String(), err
}

// check checks that an example is as short as the README says, and that it passes with any
// credentials of the developer. If the emulator fails, the example must fail too and leave no
// process running.
func (e example) check(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(e.file)
	if err != nil {
		t.Fatal(err)
	}
	if lines, limit := bytes.Count(text, []byte("\n")), cmp.Or(e.lines, 40); lines >= limit {
		t.Errorf("%s has %d lines, want less than %d", e.file, lines, limit)
	}
	if said, err := e.run(t, theStage().Emulator); err != nil || !strings.Contains(said, e.says) {
		t.Errorf("%q: %v\n%s", e.command, err, said)
	}
	for name, emulator := range map[string]string{
		"an emulator that does not start": "exit 1",
		"an emulator without env":         fmt.Sprintf(`[ "$1" = serve ] && exec %q "$@"`, theStage().Emulator),
	} {
		command := filepath.Join(t.TempDir(), filepath.Base(theStage().Emulator))
		if err := os.WriteFile(command, []byte("#!/bin/sh\n"+emulator+"\n"), 0o700); err != nil { //nolint:gosec // the file must be executable
			t.Fatal(err)
		}
		if said, err := e.run(t, command); err == nil {
			t.Errorf("with %s, %q passes\n%s", name, e.command, said)
		}
	}
}

func TestShellExample(t *testing.T) {
	lookPath(t, "curl", "the example is for curl:")
	example{
		file: "examples/shell/deploy_test.sh", folder: "examples/shell", command: []string{"./deploy_test.sh"}, says: `"count": 2`,
	}.check(t)
}

func TestPytestExample(t *testing.T) {
	pytest(t, example{file: "examples/pytest/test_worker.py", folder: "examples/pytest", says: "1 passed"}).check(t)
}

// The plugin for pytest starts an emulator, and also joins a running emulator.
func TestPytestPlugin(t *testing.T) {
	e := pytest(t, example{
		file: "examples/pytest-plugin/gcp_metadata_emulator.py", folder: "examples/pytest-plugin", says: "3 passed", lines: 80,
	})
	e.check(t)
	e.checkJoins(t)
}

// pytest completes an example that pytest runs.
func pytest(t *testing.T, e example) example {
	t.Helper()
	_, folder := googleAuth(t)
	// gcloud's directory also contains modules of Python itself. They must not take precedence over
	// the modules of this Python.
	site := appendToPython(t, folder)
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-m", "pytest", "--version").Run() != nil {
			continue
		}
		e.environment = []string{"PYTHONPATH=" + site, "PYTHONDONTWRITEBYTECODE=1"}
		e.command = []string{python, "-m", "pytest", "-p", "no:cacheprovider"}
		return e
	}
	skip(t, "no Python here has pytest")
	return example{}
}

// checkJoins checks that the example passes with an emulator that is running, and leaves it
// running. The example's command "gcp-metadata-emulator" cannot serve.
func (e example) checkJoins(t *testing.T) {
	t.Helper()
	r := newRig(t)
	command := filepath.Join(t.TempDir(), filepath.Base(theStage().Emulator))
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = serve ] && exit 1\nexec %q \"$@\"\n", theStage().Emulator)
	if err := os.WriteFile(command, []byte(script), 0o700); err != nil { //nolint:gosec // the file must be executable
		t.Fatal(err)
	}
	e.environment = append(slices.Clone(e.environment), "GCP_METADATA_EMULATOR_URL="+r.service)
	if said, err := e.run(t, command); err != nil || !strings.Contains(said, e.says) {
		t.Errorf("%q with a running emulator: %v\n%s", e.command, err, said)
	}
	r.fetch(t, "/emulator/v1/readyz", new(map[string]any))
}

// appendToPython returns a directory for PYTHONPATH that adds a folder after Python's own modules.
func appendToPython(t *testing.T, folder string) (site string) {
	t.Helper()
	site = t.TempDir()
	appended := fmt.Sprintf("import sys; sys.path.append(%q)\n", folder)
	if err := os.WriteFile(filepath.Join(site, "sitecustomize.py"), []byte(appended), 0o600); err != nil {
		t.Fatal(err)
	}
	return site
}

// Three services call each other through their doors. Each verifies its callers once more: with
// Google's library, or without it if it is not installed.
func TestServiceToServiceExample(t *testing.T) {
	for _, tool := range []string{"curl", "node", "python3", "sh"} {
		lookPath(t, tool, "the example needs "+tool+":")
	}
	search := filepath.Join(t.TempDir(), "search")
	if out, err := exec.Command("go", "build", "-o", search, "./examples/service-to-service/search").CombinedOutput(); err != nil {
		t.Fatalf("build the service search: %v\n%s", err, out)
	}
	e := example{
		folder: "examples/service-to-service", command: []string{"./run.sh"}, says: "all is as on Cloud Run",
		environment: []string{"SEARCH=" + search, "PYTHONDONTWRITEBYTECODE=1"},
	}
	check := func(t *testing.T, environment ...string) {
		t.Helper()
		with := e
		with.environment = append(with.environment, environment...)
		if said, err := with.run(t, theStage().Emulator); err != nil || !strings.Contains(said, with.says) {
			t.Errorf("%q: %v\n%s", environment, err, said)
		}
	}
	t.Run("without libraries", func(t *testing.T) { check(t, "LOGIN_VERIFIER=tokeninfo", "PROFILES_VERIFIER=tokeninfo") })
	t.Run("google-auth-library", func(t *testing.T) {
		needNode(t, theStage())
		modules, err := filepath.Abs(filepath.Join(nodeFolder, "node_modules"))
		if err != nil {
			t.Fatal(err)
		}
		check(t, "NODE_PATH="+modules, "LOGIN_VERIFIER=google-auth-library")
	})
	t.Run("google-auth", func(t *testing.T) {
		_, folder := googleAuth(t)
		check(t, "PYTHONPATH="+appendToPython(t, folder), "PROFILES_VERIFIER=google-auth")
	})
	t.Run("an emulator that does not start", func(t *testing.T) {
		command := filepath.Join(t.TempDir(), filepath.Base(theStage().Emulator))
		if err := os.WriteFile(command, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // the file must be executable
			t.Fatal(err)
		}
		if said, err := e.run(t, command); err == nil {
			t.Errorf("the example passes\n%s", said)
		}
	})
}

func TestNodeTestExample(t *testing.T) {
	needNode(t, theStage())
	const file = "examples/node-test/worker.test.mjs"
	example{file: file, folder: besideModules(t, file), command: []string{theStage().Node, "--test"}, says: "pass 1"}.check(t)
}

// The helper for Node starts an emulator, and also joins a running emulator.
func TestNodeHelper(t *testing.T) {
	needNode(t, theStage())
	const folder = "examples/node-helper/"
	e := example{
		file: folder + "index.mjs", folder: besideModules(t, folder+"index.mjs", folder+"index.test.mjs", folder+"package.json"),
		command: []string{theStage().Node, "--test"}, says: "pass 2", lines: 80,
	}
	e.check(t)
	e.checkJoins(t)
}
