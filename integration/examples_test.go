package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runExample runs a test of the examples, which starts an emulator of its own, and returns what it said.
func runExample(t *testing.T, folder string, environment []string, command ...string) string {
	t.Helper()
	prepared := theStage()
	r := &rig{stage: prepared, home: t.TempDir()}
	before := len(readEscapes(prepared.Escapes))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var said bytes.Buffer
	run := exec.CommandContext(ctx, command[0], command[1:]...)
	run.Dir, run.Stdout, run.Stderr = folder, &said, &said
	run.Env = append(r.environment(), environment...)
	run.Env = append(run.Env, "PATH="+filepath.Dir(prepared.Emulator)+string(os.PathListSeparator)+os.Getenv("PATH"))
	endWithParent(run)
	if err := run.Run(); err != nil {
		t.Fatalf("%q: %v\n%s", command, err, &said)
	}
	if escapes := readEscapes(prepared.Escapes)[before:]; len(escapes) > 0 {
		t.Errorf("%q tried to leave the machine: %q", command, escapes)
	}
	return said.String()
}

// checkExample checks that an example is as short as it is said to be.
func checkExample(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(text, []byte("\n")); lines >= 40 {
		t.Errorf("%s has %d lines, want less than 40", file, lines)
	}
}

func TestShellExample(t *testing.T) {
	lookPath(t, "curl", "the example is for curl:")
	checkExample(t, "examples/shell/deploy_test.sh")
	said := runExample(t, "examples/shell", nil, "./deploy_test.sh")
	if !strings.Contains(said, `"count": 2`) {
		t.Errorf("the script says %s", said)
	}
}

func TestPytestExample(t *testing.T) {
	_, folder := googleAuth(t)
	checkExample(t, "examples/pytest/test_worker.py")
	// gcloud's folder has modules of Python's own too, which must not come before those of this Python.
	site := t.TempDir()
	appended := fmt.Sprintf("import sys; sys.path.append(%q)\n", folder)
	if err := os.WriteFile(filepath.Join(site, "sitecustomize.py"), []byte(appended), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-m", "pytest", "--version").Run() != nil {
			continue
		}
		said := runExample(t, "examples/pytest", []string{"PYTHONPATH=" + site, "PYTHONDONTWRITEBYTECODE=1"},
			python, "-m", "pytest", "-p", "no:cacheprovider")
		if !strings.Contains(said, "1 passed") {
			t.Errorf("pytest says %s", said)
		}
		return
	}
	skip(t, "no Python here has pytest")
}

func TestNodeTestExample(t *testing.T) {
	needNode(t, theStage())
	const file = "examples/node-test/worker.test.mjs"
	checkExample(t, file)
	// Node looks for packages beside the file that wants them.
	folder := t.TempDir()
	modules, err := filepath.Abs(filepath.Join(nodeFolder, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := runExample(t, folder, nil, theStage().Node, "--test"); !strings.Contains(said, "pass 1") {
		t.Errorf("node says %s", said)
	}
}
