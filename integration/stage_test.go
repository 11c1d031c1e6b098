package integration_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// stageVariable names the file that describes the stage. It is set in the process that runs the
// tests, not in the process that prepares them.
const stageVariable = "GCP_METADATA_EMULATOR_INTEGRATION_STAGE"

const nodeFolder = "clients/node"

// stage describes the preparations for the tests: all work that needs the network or takes long.
type stage struct {
	Emulator string `json:"emulator"` // the emulator's binary
	GoCloud  string `json:"goCloud"`  // the binary of clients/gocloud
	Node     string `json:"node"`     // the node command; empty if the Node clients cannot run
	NoNode   string `json:"noNode"`   // the reason why they cannot
	BadNode  string `json:"badNode"`  // the reason, if it is a failure
	Escapes  string `json:"escapes"`  // the file that records attempts to leave the namespace; empty without a namespace
}

// known returns the name of the file with the attempts that tests expect.
func (s stage) known() string { return s.Escapes + ".known" }

// TestMain runs twice. The first process has the caller's environment and network: it builds and
// installs, then starts itself again, if possible in a network namespace. The second process runs
// the tests.
func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	flag.Bool("update", false, "write the results of the matrix into server/reach/README.md") // for flag.Lookup
	if os.Getenv(stageVariable) == "" {
		return prepareAndRestart()
	}
	escapes := theStage().Escapes
	if escapes == "" {
		return m.Run(), nil
	}
	if err := closeNamespace(escapes); err != nil {
		return 1, err
	}
	code := m.Run()
	if attempts := unexpected(readEscapes(escapes), readEscapes(theStage().known())); len(attempts) > 0 {
		return 1, fmt.Errorf("something tried to leave the machine: %q", attempts)
	}
	return code, nil
}

// theStage reads the stage that the first process prepared.
func theStage() stage {
	var prepared stage
	data, err := os.ReadFile(os.Getenv(stageVariable))
	if err == nil {
		err = json.Unmarshal(data, &prepared)
	}
	if err != nil {
		panic(err)
	}
	return prepared
}

func prepareAndRestart() (int, error) {
	folder, err := os.MkdirTemp("", "integration-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(folder)
	prepared, err := prepare(folder)
	if err != nil {
		return 1, err
	}
	again := exec.Command(os.Args[0], os.Args[1:]...)
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	if err := enterNamespace(again); err != nil {
		fmt.Fprintln(os.Stderr, "integration: NOT ISOLATED: the clients run in the network of this machine, because", err)
	} else {
		prepared.Escapes = filepath.Join(folder, "escapes")
	}
	data, err := json.Marshal(prepared)
	if err != nil {
		return 1, err
	}
	file := filepath.Join(folder, "stage.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return 1, err
	}
	again.Env = append(os.Environ(), stageVariable+"="+file)
	if err := again.Run(); err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); exited {
			return max(again.ProcessState.ExitCode(), 1), nil
		}
		return 1, err
	}
	return 0, nil
}

func prepare(folder string) (stage, error) {
	prepared := stage{
		Emulator: filepath.Join(folder, "gcp-metadata-emulator"),
		GoCloud:  filepath.Join(folder, "gocloud"),
	}
	if err := build("..", prepared.Emulator, "."); err != nil {
		return stage{}, err
	}
	if err := build(".", prepared.GoCloud, "./clients/gocloud"); err != nil {
		return stage{}, err
	}
	prepareNode(&prepared)
	return prepared, nil
}

func build(module, binary, program string) error {
	command := exec.Command("go", "build", "-C", module, "-o", binary, program)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, output)
	}
	return nil
}

func prepareNode(prepared *stage) {
	node, err := exec.LookPath("node")
	if err != nil {
		prepared.NoNode = err.Error()
		return
	}
	if installed() {
		prepared.Node = node
		return
	}
	if _, err := exec.LookPath("npm"); err != nil {
		prepared.NoNode = nodeFolder + "/node_modules is missing or older than the lock file, and " + err.Error()
		return
	}
	install := exec.Command("npm", "ci", "--ignore-scripts")
	install.Dir = nodeFolder
	if output, err := install.CombinedOutput(); err != nil {
		prepared.BadNode = fmt.Sprintf("%s: %v\n%s", install, err, output)
		return
	}
	prepared.Node = node
}

// installed reports whether npm has installed the versions in the lock file.
func installed() bool {
	lock, err := os.Stat(filepath.Join(nodeFolder, "package-lock.json"))
	if err != nil {
		return false
	}
	done, err := os.Stat(filepath.Join(nodeFolder, "node_modules", ".package-lock.json"))
	return err == nil && !done.ModTime().Before(lock.ModTime())
}
