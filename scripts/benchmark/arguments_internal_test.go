package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scripts/bench refuses a wrong number of replicas before it builds anything.
func TestNumberOfReplicas(t *testing.T) {
	t.Parallel()
	script := filepath.Join("..", "bench")
	for _, arguments := range [][]string{{"--replicas"}, {"--replicas", "0"}, {"--replicas", "many"}} {
		command := exec.CommandContext(t.Context(), script, arguments...)
		said, _ := command.CombinedOutput()
		if command.ProcessState.ExitCode() != 2 || !strings.Contains(string(said), "needs the number of replicas") {
			t.Errorf("with %q, the script ends with %v and says %s", arguments, command.ProcessState, said)
		}
	}
}
