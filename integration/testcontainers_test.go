package integration_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

const testcontainersFolder = "examples/testcontainers"

// The example for Node is well formed. The example for Go is a module of its own, and scripts/test
// vets it.
func TestTestcontainersForNodeParse(t *testing.T) {
	t.Parallel()
	node := lookPath(t, "node", "without Node:")
	if output, err := exec.Command(node, "--check", filepath.Join(testcontainersFolder, "node", "emulator.test.mjs")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// The examples start the image of this checkout, if there is an engine that can build it.
func TestTestcontainers(t *testing.T) {
	t.Parallel()
	docker := lookPath(t, "docker", "without an engine for containers:")
	if output, err := exec.Command(docker, "version").CombinedOutput(); err != nil {
		skip(t, "no engine for containers answers:", err, string(output))
	}
	for _, step := range []struct {
		folder  string
		command []string
	}{
		{"..", []string{docker, "build", "--tag", "gcp-metadata-emulator", "."}},
		{testcontainersFolder + "/go", []string{"go", "test", "-count=1", "./..."}},
		{testcontainersFolder + "/node", []string{"npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"}},
		{testcontainersFolder + "/node", []string{"npm", "test"}},
	} {
		command := exec.Command(step.command[0], step.command[1:]...)
		command.Dir = step.folder
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", step.command, err, output)
		}
	}
}
