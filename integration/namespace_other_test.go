//go:build !linux

package integration_test

import (
	"errors"
	"os/exec"
	"runtime"
)

func enterNamespace(*exec.Cmd) error {
	return errors.New("there are no network namespaces on " + runtime.GOOS)
}

func endWithParent(*exec.Cmd) {}

func closeNamespace(string) error { return errors.ErrUnsupported }
