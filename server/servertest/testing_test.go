package servertest_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
)

// exampleT replaces the *testing.T that an example does not have.
type exampleT struct {
	testing.TB

	cleanups []func()
}

func newT() *exampleT { return &exampleT{} }

func (t *exampleT) Helper() {}

func (t *exampleT) Cleanup(cleanup func()) { t.cleanups = append(t.cleanups, cleanup) }

func (t *exampleT) end() {
	for _, cleanup := range slices.Backward(t.cleanups) {
		cleanup()
	}
}

func (t *exampleT) Output() io.Writer { return os.Stderr }

func (t *exampleT) Logf(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
}

func (t *exampleT) Fatalf(format string, arguments ...any) { panic(fmt.Sprintf(format, arguments...)) }

func (t *exampleT) Errorf(format string, arguments ...any) { panic(fmt.Sprintf(format, arguments...)) }

func (t *exampleT) Fatal(arguments ...any) { panic(fmt.Sprint(arguments...)) }

func (t *exampleT) TempDir() string {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (t *exampleT) Setenv(name, value string) {
	before, isSet := os.LookupEnv(name)
	t.Cleanup(func() {
		if isSet {
			_ = os.Setenv(name, before)
		} else {
			_ = os.Unsetenv(name)
		}
	})
	_ = os.Setenv(name, value)
}
