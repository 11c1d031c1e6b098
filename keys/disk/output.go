package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LinkError reports a path that other users can lead elsewhere.
type LinkError struct {
	Path    string // of the link or pipe
	Problem string // ends the sentence "X ..."
}

func (e *LinkError) Error() string { return fmt.Sprintf("%q %s", e.Path, e.Problem) }

// Hint suggests how to correct the error.
func (e *LinkError) Hint() string {
	return "name a file in a directory of your own, or remove it if it is yours"
}

// WriteFile writes a file for other programs, with a content and a mode. Nobody can read half of it,
// or read a secret through the file's previous mode.
//
// It follows links. If a link is in a folder that everybody can write to, another user can have made
// it, and the error is a LinkError. If the path is not a regular file, such as /dev/stdout or a
// pipe, WriteFile writes to it directly.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	found, err := resolve(path)
	if err != nil {
		return err
	}
	if found.isStream {
		return writeStream(path, content)
	}
	return found.in(path, func(folder *os.Root, name string) error { return replaceIn(folder, name, content, mode) })
}

// RemoveFile removes a file that WriteFile wrote. It removes nothing if the path is not a regular
// file, such as /dev/stdout or a pipe. Like WriteFile, it follows no links of other users.
func RemoveFile(path string) error {
	found, err := resolve(path)
	if err != nil || found.isStream {
		return err
	}
	return found.in(path, (*os.Root).Remove)
}

// target is the file that a path leads to.
type target struct {
	path     string // without links
	folder   fs.FileInfo
	isStream bool // a device or a pipe, which cannot be replaced
}

// in calls do with the target's folder and the target's name in it.
func (found target) in(path string, do func(folder *os.Root, name string) error) error {
	folder, err := os.OpenRoot(filepath.Dir(found.path))
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }() // nothing was written to it
	if err := found.check(path, folder); err != nil {
		return err
	}
	return do(folder, filepath.Base(found.path))
}

// check checks that the opened folder is the folder of the target, and that the path still leads
// there.
func (found target) check(path string, folder *os.Root) error {
	again, err := resolve(path)
	if err != nil {
		return err
	}
	opened, err := folder.Stat(".")
	if err != nil {
		return err
	}
	if again.path != found.path || !os.SameFile(found.folder, opened) || !os.SameFile(again.folder, opened) {
		return &LinkError{Path: path, Problem: "is being led to another file by somebody"}
	}
	return nil
}

// replaceIn writes a new file and gives it a name in place of another file.
func replaceIn(folder *os.Root, name string, content []byte, mode fs.FileMode) error {
	temporary := "." + name + "-" + rand.Text()
	if len(temporary) > longestName {
		temporary = "." + rand.Text()
	}
	file, err := folder.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, private)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = folder.Rename(temporary, name)
	}
	if err != nil {
		_ = folder.Remove(temporary) // the earlier error is the one to report
	}
	return err
}

const longestName = 255

func writeStream(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// resolve follows the links of a path.
func resolve(path string) (target, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return target{}, err
	}
	const most = 40 // links, as Linux follows them
	for range most {
		link, err := firstLink(path)
		if err != nil {
			return target{}, err
		}
		if link == "" {
			return settled(path)
		}
		if strings.HasPrefix(link, "/proc/") { // an open file of a process
			return target{path: path, isStream: true}, nil
		}
		to, err := os.Readlink(link)
		if err != nil {
			return target{}, err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(link), to)
		}
		path = filepath.Join(to, strings.TrimPrefix(path, link))
	}
	return target{}, &LinkError{Path: path, Problem: "leads to too many links"}
}

// firstLink returns the first part of an absolute path that is a link, or nothing. The error is a
// LinkError if another user can have laid the link.
func firstLink(path string) (link string, err error) {
	separator := string(filepath.Separator)
	part := filepath.VolumeName(path) + separator
	folder, err := os.Lstat(part)
	for name := range strings.SplitSeq(strings.TrimPrefix(path, part), separator) {
		if err != nil {
			return "", err
		}
		part = filepath.Join(part, name)
		info, partErr := os.Lstat(part)
		switch {
		case errors.Is(partErr, fs.ErrNotExist) && part == path:
			return "", nil // it is going to be made
		case partErr == nil && info.Mode()&fs.ModeSymlink != 0 && isShared(folder):
			return "", &LinkError{Path: part, Problem: "is a link in a directory that everybody can write to: another user may have laid it"}
		case partErr == nil && info.Mode()&fs.ModeSymlink != 0:
			return part, nil
		}
		folder, err = info, partErr
	}
	return "", err
}

// settled returns the target of a path without links.
func settled(path string) (target, error) {
	folder, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		return target{}, err
	}
	found := target{path: path, folder: folder}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found, nil
	case err != nil:
		return target{}, err
	case info.IsDir():
		return target{}, &fs.PathError{Op: "write", Path: path, Err: errors.New("it is a directory")}
	case info.Mode().IsRegular():
		return found, nil
	case isShared(folder) && Exposure(info) != "":
		return target{}, &LinkError{Path: path, Problem: "is a pipe or socket of another user in a directory that everybody can write to"}
	}
	found.isStream = true
	return found, nil
}
