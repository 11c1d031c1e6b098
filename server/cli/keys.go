package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"gcp-metadata-emulator/fixtures/input"
	"gcp-metadata-emulator/keys"
	"gcp-metadata-emulator/keys/disk"
	"gcp-metadata-emulator/server/clock"
)

type keysCommand struct {
	Export keysExportCommand `cmd:"" help:"Print the keys as a Kubernetes Secret."`
	Import keysImportCommand `cmd:"" help:"Keep such keys."`
}

type keysExportCommand struct {
	StateDir  string `type:"path" default:"${state_dir}" placeholder:"DIR" help:"Directory that keeps signing keys between runs (default: gcp-metadata-emulator in $$XDG_STATE_HOME or ~/.local/state)."`
	Ephemeral bool   `help:"Keep nothing on disk: every run generates new keys."`
	Name      string `env:"-" default:"metadata-server-keys" help:"Name of the Secret (default: ${default})."`
	Namespace string `env:"-" help:"Namespace of the Secret (default: the namespace that kubectl uses)."`
}

// Help returns examples.
func (*keysExportCommand) Help() string {
	return `The Secret is secret: whoever has it can issue tokens that programs which trust the emulator accept.

Examples:
  gcp-metadata-emulator keys export --ephemeral | kubectl apply -n metadata-server -f -
  gcp-metadata-emulator keys export > keys.yaml`
}

type keysImportCommand struct {
	File     string `arg:"" help:"File with the Secret, in YAML or JSON; - reads it from stdin."`
	StateDir string `type:"path" default:"${state_dir}" placeholder:"DIR" help:"Directory that keeps signing keys between runs (default: gcp-metadata-emulator in $$XDG_STATE_HOME or ~/.local/state)."`
}

// Help returns examples.
func (*keysImportCommand) Help() string {
	return `Examples:
  kubectl get secret metadata-server-keys -n metadata-server -o yaml | gcp-metadata-emulator keys import -
  gcp-metadata-emulator keys import keys.yaml --state-dir ./keys`
}

// secret is a Secret of Kubernetes.
type secret struct {
	APIVersion string            `yaml:"apiVersion"`
	Kind       string            `yaml:"kind"`
	Metadata   secretMetadata    `yaml:"metadata"`
	Type       string            `yaml:"type,omitempty"`
	Data       map[string]string `yaml:"data"`
}

type secretMetadata struct {
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace,omitempty"`
}

// Run prints a Secret. If the state directory has no keys of Google and no authority, it makes them.
func (c *keysExportCommand) Run(ctx context.Context, std streams) error {
	files, err := c.files(ctx)
	if err != nil {
		return err
	}
	made := secret{APIVersion: "v1", Kind: "Secret", Metadata: secretMetadata{c.Name, c.Namespace}, Type: "Opaque", Data: map[string]string{}}
	for name, data := range files {
		made.Data[keys.FlatName(name)] = base64.StdEncoding.EncodeToString(data)
	}
	text, err := yaml.Marshal(made)
	if err != nil {
		return fmt.Errorf("write the Secret: %w", err)
	}
	_, err = std.out.Write(text)
	return err
}

// files returns the files of a ring that has made its keys.
func (c *keysExportCommand) files(ctx context.Context) (map[string][]byte, error) {
	bundle := keys.NewBundle(nil)
	ring := keys.NewSharedRing(bundle, time.Now)
	if !c.Ephemeral {
		var err error
		if ring, err = (runFlags{StateDir: c.StateDir}).ring(clock.New(time.Now)); err != nil {
			return nil, err
		}
	}
	defer ring.Close()
	if err := ring.Load(); err != nil {
		return nil, err
	}
	for _, set := range ring.Own() {
		if _, err := set.Published(ctx); err != nil {
			return nil, err
		}
	}
	if _, err := ring.Authority(); err != nil {
		return nil, err
	}
	if c.Ephemeral {
		return bundle.All(), nil
	}
	return filesIn(ctx, c.StateDir)
}

// filesIn returns the files of the ring in a state directory by their slash-separated names.
func filesIn(ctx context.Context, dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		below, err := filepath.Rel(dir, path)
		if name := filepath.ToSlash(below); err == nil && keys.IsFile(name) {
			files[name], err = input.Read(ctx, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the state directory %q: %w", dir, rootCause(err))
	}
	return files, nil
}

// Run writes the keys of a Secret to a state directory.
func (c *keysImportCommand) Run(ctx context.Context, std streams) error {
	files, err := c.read(ctx, std.in)
	if err != nil {
		return err
	}
	if c.StateDir == "" {
		return &hintError{message: "cannot keep signing keys: there is no home directory", hint: "set a directory with --state-dir"}
	}
	known, err := filesIn(ctx, c.StateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(known) > 0 {
		return &hintError{
			message: fmt.Sprintf("the state directory %q has keys already", c.StateDir),
			hint:    "name another directory with --state-dir, or remove this one, if nobody needs its keys any more",
		}
	}
	if err := c.keep(files); err != nil {
		return fmt.Errorf("write keys into the state directory %q: %w", c.StateDir, rootCause(err))
	}
	_, err = fmt.Fprintf(std.err, "%s: put %d files into %q\n", program, len(files), c.StateDir)
	return err
}

// keep writes the files of a ring to the state directory. It writes all of them elsewhere first, so that
// an error leaves no part of them in place.
func (c *keysImportCommand) keep(files map[string][]byte) error {
	const ownersOnly = 0o700
	if err := os.MkdirAll(c.StateDir, ownersOnly); err != nil {
		return err
	}
	staged, err := os.MkdirTemp(c.StateDir, ".import-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(staged) }() // the files have left it, or an earlier error is the one to report
	folder := disk.NewFolder(staged)
	for name, data := range files {
		if err := folder.Create(name, data); err != nil {
			return err
		}
	}
	for _, name := range []string{"ca", "keys"} { // no emulator looks for an authority before it has keys
		to := filepath.Join(c.StateDir, name)
		_ = os.Remove(to) // an empty folder; another one is an error of the renaming
		if err := os.Rename(filepath.Join(staged, name), to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// read returns the files in a Secret.
func (c *keysImportCommand) read(ctx context.Context, stdin io.Reader) (map[string][]byte, error) {
	const most = 1 << 20 // Kubernetes keeps no larger Secret
	var text []byte
	var err error
	if c.File == stdinName {
		text, err = io.ReadAll(io.LimitReader(stdin, most+1))
	} else {
		text, err = input.ReadNamed(ctx, c.File)
	}
	if err != nil {
		return nil, fmt.Errorf("read the Secret %q: %w", c.File, rootCause(err))
	}
	if len(text) > most {
		return nil, &hintError{
			message: fmt.Sprintf("%q is larger than a Secret of Kubernetes can be: %d bytes", c.File, most), hint: "make one with: gcp-metadata-emulator keys export",
		}
	}
	var read secret
	if err := yaml.Unmarshal(text, &read); err != nil || read.Kind != "Secret" {
		return nil, &hintError{
			message: fmt.Sprintf("%q is not a Secret of Kubernetes", c.File), hint: "make one with: gcp-metadata-emulator keys export", cause: err,
		}
	}
	files := map[string][]byte{}
	for flat, encoded := range read.Data {
		data, err := base64.StdEncoding.DecodeString(encoded)
		name, ok := keys.FileName(flat)
		if err != nil || !ok {
			return nil, &hintError{
				message: fmt.Sprintf("the entry %q of the Secret %q is not a key of the emulator", flat, c.File),
				hint:    "make the Secret with: gcp-metadata-emulator keys export", cause: err,
			}
		}
		files[name] = data
	}
	if err := keysMissing(files, c.File); err != nil {
		return nil, err
	}
	if err := keys.CheckFiles(files, time.Now); err != nil {
		return nil, &hintError{
			message: fmt.Sprintf("the Secret %q cannot be used: %v", c.File, err), hint: "make the Secret again with: gcp-metadata-emulator keys export", cause: err,
		}
	}
	return files, nil
}

// keysMissing returns an error if files have no key of Google's.
func keysMissing(files map[string][]byte, in string) error {
	for name := range files {
		if strings.HasPrefix(name, "keys/google/") {
			return nil
		}
	}
	return &hintError{message: fmt.Sprintf("%q has no keys of the emulator", in), hint: "make them with: gcp-metadata-emulator keys export"}
}

// keysFlags holds the flag for keys that are given to the emulator.
type keysFlags struct {
	Keys string `type:"path" placeholder:"DIR" help:"Begin with the keys in DIR, which is only read: the mounted Secret that keys export has made. Nothing is kept on disk."`
}

// given returns the ring with the keys in the directory, or nil if there is no directory.
func (f keysFlags) given(ctx context.Context, now func() time.Time) (*keys.Ring, error) {
	if f.Keys == "" {
		return nil, nil //nolint:nilnil // no keys are given
	}
	entries, err := os.ReadDir(f.Keys)
	if err != nil {
		return nil, &hintError{
			message: fmt.Sprintf("cannot read the keys in %q: %v", f.Keys, rootCause(err)), hint: "mount the Secret that keys export has made there", cause: err,
		}
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		name, ok := keys.FileName(entry.Name())
		if !ok {
			continue // Kubernetes adds links of its own
		}
		if files[name], err = input.Read(ctx, filepath.Join(f.Keys, entry.Name())); err != nil {
			return nil, fmt.Errorf("read the key file %q: %w", filepath.Join(f.Keys, entry.Name()), rootCause(err))
		}
	}
	if err := keysMissing(files, f.Keys); err != nil {
		return nil, err
	}
	return keys.NewSharedRing(keys.NewBundle(files), now), nil
}

// misused returns a usage error if there are other keys.
func (f keysFlags) misused(hasStore bool) error { //nolint:revive // a fact, not a mode
	if f.Keys != "" && hasStore {
		return &usageError{errors.New("--keys and --store both have the keys: leave one out")}
	}
	return nil
}
