package cli_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// sized returns the size of a trial: usual, or what a variable of the environment says.
func sized(t *testing.T, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	size, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// serving is an emulator in a process of its own.
type serving struct {
	url string
	log string // the path of its log
	end func() // sends SIGTERM, and waits for the exit code 0; the log is complete then
}

// startServing starts an emulator at a free port, with the given arguments, until the test ends.
func startServing(t *testing.T, arguments ...string) serving {
	t.Helper()
	folder := t.TempDir()
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), "gcp-metadata-emulator", append([]string{
		"serve", "--listen", "127.0.0.1:0", "--ephemeral", "--url-file", filepath.Join(folder, "url"),
	}, arguments...)...)
	stderr, err := command.StderrPipe()
	if err := errors.Join(err, command.Start()); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(log, lines.Text())
			if _, rest, found := strings.Cut(lines.Text(), "msg=serving url="); found {
				url, _, _ := strings.Cut(rest, " ")
				ready <- url
			}
		}
	}()
	end := sync.OnceFunc(func() {
		err := command.Process.Signal(syscall.SIGTERM)
		<-copied
		if err := errors.Join(err, command.Wait(), log.Close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case url := <-ready:
		t.Cleanup(end)
		return serving{url, log.Name(), end}
	case <-copied:
		_ = command.Wait()
		content, _ := os.ReadFile(log.Name())
		t.Fatalf("the emulator has not started:\n%s", content)
		return serving{}
	}
}
