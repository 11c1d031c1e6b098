package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// checkFile refuses a file of a flag, if it is not empty and the file cannot be written, before a command does
// anything else. The content is a noun for the error.
func checkFile(content, path, flag string) error {
	if path == "" {
		return nil
	}
	err := checkWritable(filepath.Dir(path))
	if info, known := os.Stat(path); known == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return &hintError{
			message: fmt.Sprintf("cannot write the %s %q: %v", content, path, err), cause: err,
			hint: "name a file in a directory that exists and that you may write to with " + flag,
		}
	}
	return nil
}

// checkWritable returns an error if no file can be made in a directory.
func checkWritable(dir string) error {
	probe, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return rootCause(err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
