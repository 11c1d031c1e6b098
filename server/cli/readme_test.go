package cli_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The commands of each README work if a reader types them from top to bottom at the root of a clone,
// and print what the README says.
func TestReadmesRun(t *testing.T) {
	t.Parallel()
	if out, err := isolated(t.Context(), "true").CombinedOutput(); err != nil {
		t.Skipf("the commands need a network of their own: unshare: %v %s", err, out)
	}
	files := filesOf(t)
	for _, file := range files {
		if filepath.Base(file) != "README.md" {
			continue
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			w := &walk{home: t.TempDir(), clone: filepath.Join(t.TempDir(), "gcp-metadata-emulator")}
			w.copy(t, files)
			w.do(t, blocksIn(t, file))
		})
	}
}

// No block escapes the test unseen.
func TestReadmesSayWhatCannotRun(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	for _, file := range filesOf(t) {
		if filepath.Base(file) != "README.md" {
			continue
		}
		for _, b := range blocksIn(t, file) {
			if b.notRun != "" {
				got[b.notRun]++
			}
		}
	}
	if diff := cmp.Diff(blocksThatCannotRun(), got); diff != "" {
		t.Errorf("blocks of commands that no test runs (-want +got):\n%s", diff)
	}
}

// blocksThatCannotRun returns the number of the blocks that no test runs, by the reason in the block.
func blocksThatCannotRun() map[string]int {
	return map[string]int{
		"needs a container engine": 5, "is for one of Google's VMs": 3, "is the run of all tests": 2, "is a test of the integration tests": 1,
		"is the run of tests that write tables": 1, "is the run of builds": 1, "needs Podman, as root": 1, "needs an API server": 1,
		"needs a key of one of Google's accounts": 1,
	}
}

// filesOf returns the names of the repository's files.
func filesOf(t *testing.T) []string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	list.Dir = filepath.Join("..", "..")
	out, err := list.Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	return strings.Split(string(bytes.TrimRight(out, "\x00")), "\x00")
}

func blocksIn(t *testing.T, file string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := blocksOf(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return blocks
}

// walk follows a README.
type walk struct {
	home, clone string
}

// copy copies the repository.
func (w *walk) copy(t *testing.T, files []string) {
	t.Helper()
	for _, file := range files {
		from, to := filepath.Join("..", "..", file), filepath.Join(w.clone, file)
		about, err := os.Stat(from)
		if os.IsNotExist(err) {
			continue // removed, but still in the index
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, about.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// environment is the environment of a reader who has Go, with everything that the build needs in
// Go's caches. -trimpath makes the build of each copy of the repository the same.
func (w *walk) environment(t *testing.T) []string {
	t.Helper()
	environment := []string{
		"PATH=" + filepath.Join(w.home, "go", "bin") + ":" + os.Getenv("PATH"), "HOME=" + w.home, "LANG=C.UTF-8", "GORACE=atexit_sleep_ms=0",
		"GOPATH=" + filepath.Join(w.home, "go"), "GOPROXY=off", "GOSUMDB=off", "GOTOOLCHAIN=local", "GOFLAGS=-trimpath",
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		environment = append(environment, name+"="+strings.TrimSpace(string(out)))
	}
	return environment
}

// do writes the files of the blocks, and runs the commands, in the order of the blocks.
func (w *walk) do(t *testing.T, blocks []block) {
	t.Helper()
	ctx := t.Context()
	sh, err := startShell(ctx, w.clone, w.home, w.environment(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sh.end() }()
	for _, b := range blocks {
		switch {
		case b.file() != "":
			w.write(t, sh, b)
		case !b.isCommands() || b.notRun != "":
		case len(missing(b.needs())) > 0:
			t.Logf("SKIPPED: line %d: %q is not installed", b.line, missing(b.needs()))
		case b.has("terminal"):
			if err := sh.open(ctx, b.steps()); err != nil {
				t.Fatalf("line %d: %v", b.line, err)
			}
		default:
			w.follow(t, sh, b)
		}
	}
}

// write writes the file of a block into the shell's directory.
func (w *walk) write(t *testing.T, sh *shell, b block) {
	t.Helper()
	command := "mkdir -p " + quoted(filepath.Dir(b.file())) + " && printf %s " + quoted(b.text) + " >" + quoted(b.file())
	if out, err := sh.succeed(command); err != nil {
		t.Fatalf("line %d: %v\n%s", b.line, err, out)
	}
}

// follow runs the commands of a block and compares their output.
func (w *walk) follow(t *testing.T, sh *shell, b block) {
	t.Helper()
	run := sh.succeed
	if b.has("fails") {
		run = sh.fail
	}
	for _, next := range b.steps() {
		got, err := run(next.command)
		if err != nil {
			t.Fatalf("line %d: %v: %s\n%s", b.line, err, next.command, got)
		}
		if next.checked && !matches(next.want, got) {
			t.Errorf("line %d: %sprints\n%s\nwant\n%s", b.line, next.command, got, next.want)
		}
	}
}

func missing(programs []string) []string {
	return slices.DeleteFunc(slices.Clone(programs), func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
}

// The test above notices what a README has wrong.
func TestReadmesAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want, got string
		is        bool
	}{
		"the same":            {"a\nb\n", "a\nb", true},
		"columns":             {"NAME  AT\n", "NAME   AT \n", true},
		"any text":            {"at 127.0.0.1:…, ready", "at 127.0.0.1:8254, ready\n", true},
		"any text of a line":  {"a …\nc", "a\nb\nc", false},
		"any lines":           {"a\n…\nd", "a\nb\nc\nd", true},
		"no line":             {"a\n…\nd", "a\nd", true},
		"any lines at an end": {"a\n…", "a\nb\nc", true},
		"no line at an end":   {"a\n…", "a", true},
		"more in the line":    {"a\n…", "ab", false},
		"another line":        {"a\n", "b\n", false},
		"a line more":         {"a\n", "a\nb\n", false},
		"a line less":         {"a\nb\n", "a\n", false},
		"no pattern":          {"a.c\n", "abc\n", false},
	} {
		if got := matches(c.want, c.got); got != c.is {
			t.Errorf("%s: matches(%q, %q) = %t", name, c.want, c.got, got)
		}
	}
	for _, text := range []string{
		"```\nls\n```\n", "```sh not-runn because\n```\n", "```bash\nls\n```\n", "```sh\nls\n", "```console\nls\n```\n", "```yaml a.yaml b.yaml\n```\n",
	} {
		if blocks, err := blocksOf(text); err == nil {
			t.Errorf("%q is read as %+v", text, blocks)
		}
	}
	blocks, err := blocksOf("```console needs=a,b fails not-run it rains\n$ one\n> two\nsaid\n$ three\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := blocks[0]; got.notRun != "it rains" || !got.has("fails") || !slices.Equal(got.needs(), []string{"a", "b"}) {
		t.Errorf("the block is %+v", got)
	}
	want := []step{{command: "one\ntwo\n", want: "said\n", checked: true}, {command: "three\n", checked: true}}
	if diff := cmp.Diff(want, blocks[0].steps(), cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("its steps (-want +got):\n%s", diff)
	}
}
