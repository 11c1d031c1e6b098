package cli

import (
	"errors"
	"os"
	"path/filepath"
)

// replaceFile writes a file atomically with a content and a mode. Nobody can read half of it, or
// read a secret through the file's previous mode. If the path is not a regular file, such as
// /dev/stdout or a link, replaceFile writes to it directly.
func replaceFile(path, content string, mode os.FileMode) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, []byte(content), mode)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // creates it with mode 0600
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the earlier error is the one to report
	}
	return err
}
