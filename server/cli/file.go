package cli

import (
	"errors"
	"os"
	"path/filepath"
)

// replaceFile gives a file a content and a mode, both at once: nobody reads half of it, and
// nobody reads a secret through the mode that the file had before. What is no regular file,
// such as /dev/stdout or another link, is written to.
func replaceFile(path, content string, mode os.FileMode) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, []byte(content), mode)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the other error is the one to tell
	}
	return err
}
