package integration_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// job is a job of GitHub Actions, as far as the shell steps of this repository's actions see it.
type job struct {
	folder      string
	environment map[string]string
	outputs     string
}

func newJob(t *testing.T) *job {
	t.Helper()
	folder := t.TempDir()
	j := &job{folder: folder, environment: map[string]string{"HOME": folder, "RUNNER_TEMP": folder}}
	for _, name := range []string{"PATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		if j.environment[name] = os.Getenv(name); j.environment[name] == "" {
			j.environment[name] = goEnv(t, name)
		}
	}
	for _, name := range []string{"GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT"} {
		j.environment[name] = filepath.Join(folder, name)
		if err := os.WriteFile(j.environment[name], nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// use runs the shell steps of an action, one after the other, as the runner does.
func (j *job) use(t *testing.T, action string, inputs map[string]string) string {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", ".github", "actions", action))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(folder, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Inputs map[string]struct{ Default string }
		Runs   struct {
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	values := []string{"${{ github.action_path }}", folder}
	for name, input := range file.Inputs {
		value, given := inputs[name]
		if !given {
			value = input.Default
		}
		values = append(values, "${{ inputs."+name+" }}", value)
	}
	var printed strings.Builder
	for _, step := range file.Runs.Steps {
		if step.Run != "" {
			printed.WriteString(j.run(t, step.Run, step.Env, strings.NewReplacer(values...)))
		}
	}
	return printed.String()
}

func (j *job) run(t *testing.T, script string, environment map[string]string, values *strings.Replacer) string {
	t.Helper()
	command := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
	command.Dir = j.folder
	all := maps.Clone(j.environment)
	for name, value := range environment {
		all[name] = values.Replace(value)
	}
	for name, value := range all {
		command.Env = append(command.Env, name+"="+value)
	}
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s\n%v\n%s%s", script, err, output, complaints.String())
	}
	j.follow(t)
	return string(output)
}

// follow takes over the output of a step for the steps after it. No value of the emulator needs the
// form of several lines.
func (j *job) follow(t *testing.T) {
	t.Helper()
	for _, line := range lines(t, j.environment["GITHUB_ENV"]) {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("cannot read the environment's line %q", line)
		}
		j.environment[name] = value
	}
	for _, line := range lines(t, j.environment["GITHUB_PATH"]) {
		if !slices.Contains(filepath.SplitList(j.environment["PATH"]), line) {
			j.environment["PATH"] = line + string(filepath.ListSeparator) + j.environment["PATH"]
		}
	}
	j.outputs = strings.Join(lines(t, j.environment["GITHUB_OUTPUT"]), "\n")
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(content), func(letter rune) bool { return letter == '\n' })
}

// The actions start an emulator for the following steps, and keep its journal.
func TestAction(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	if err := os.WriteFile(filepath.Join(j.folder, "world.yaml"), []byte("project: {id: from-the-fixture}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j.use(t, "setup", map[string]string{"fixture": "world.yaml", "flags": "--strict --log-level debug"})
	url, ok := strings.CutPrefix(j.outputs, "url=")
	if !ok {
		t.Fatalf("the outputs are %q", j.outputs)
	}
	defer func() { j.run(t, "gcp-metadata-emulator stop --url "+url, nil, strings.NewReplacer()) }()
	const ask = `curl -sS -H "$1" "http://$GCE_METADATA_HOST/computeMetadata/v1/project/project-id"`
	if got := j.run(t, `set -- Metadata-Flavor:Google; `+ask, nil, strings.NewReplacer()); got != "from-the-fixture" {
		t.Errorf("the project is %q", got)
	}
	j.run(t, `set -- Accept:text/plain; `+ask, nil, strings.NewReplacer())
	if printed := j.use(t, "journal", nil); !strings.Contains(printed, "403") {
		t.Errorf("the journal does not print the refusal:\n%s", printed)
	}
	for file, want := range map[string]string{"requests.json": `"status": 403`, "state.json": "from-the-fixture", "log.txt": "serving"} {
		content, err := os.ReadFile(filepath.Join(j.folder, "gcp-metadata-emulator-journal", file))
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s has no %q (%v):\n%s", file, want, err, content)
		}
	}
}
