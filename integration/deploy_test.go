package integration_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"gcp-metadata-emulator/server/records/recordstest"
	"go.yaml.in/yaml/v4"
)

// deployment is the part of a deployment file that has to agree with the emulator.
type deployment struct {
	arguments   []string            // of the emulator
	environment []string            // of the application
	command     []string            // of the application
	probes      map[string][]string // commands that ask whether the emulator is well
}

// inCluster leads curl to the emulator, as the name server of a network does, and runs a command.
const inCluster = `
echo "connect-to = emulator:8254:${GCP_METADATA_EMULATOR_URL#http://}" >"$HOME/.curlrc"
exec env "$@"`

// check runs the commands of a deployment with an emulator that has its arguments.
func (d deployment) check(t *testing.T) {
	t.Helper()
	lookPath(t, "curl", "the application is curl:")
	r := newRig(t)
	if len(d.arguments) == 0 || d.arguments[0] != "serve" {
		t.Fatalf("the emulator's arguments are %q, want serve", d.arguments)
	}
	run := func(flags, environment, command []string) (string, error) {
		line := slices.Concat([]string{"exec", "--state-dir", r.state}, flags,
			[]string{"--", "sh", "-euc", inCluster, "sh"}, environment, command)
		output, complaints, err := r.try(t, line...)
		return string(output) + string(complaints), err
	}
	if said, err := run(d.arguments[1:], d.environment, d.command); err != nil || !strings.Contains(said, `"access_token":"ya29.`) {
		t.Errorf("the application: %v\n%s", err, said)
	}
	if said, err := run(nil, d.environment, d.command); err == nil {
		t.Errorf("without %q, the application gets\n%s", d.arguments[1:], said)
	}
	for name, command := range d.probes {
		if command[0] == "/gcp-metadata-emulator" { // its place in the image
			command = append([]string{r.stage.Emulator}, command[1:]...)
		}
		if said, err := run(d.arguments[1:], nil, command); err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}

// The example for Compose gives the application the names and addresses at which the emulator answers.
func TestComposeNetwork(t *testing.T) {
	t.Parallel()
	var file struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
			Healthcheck struct{ Test []string }
		}
	}
	content, err := os.ReadFile("../scripts/compose/plain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// In Compose, two dollars stand for a single dollar.
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(content), "$$", "$")), &file); err != nil {
		t.Fatal(err)
	}
	emulator, application := file.Services["emulator"], file.Services["application"]
	d := deployment{
		arguments: emulator.Command, command: application.Command,
		probes: map[string][]string{"healthcheck": emulator.Healthcheck.Test[1:]},
	}
	for _, name := range slices.Sorted(maps.Keys(application.Environment)) {
		d.environment = append(d.environment, name+"="+application.Environment[name])
	}
	d.check(t)
}

// probe is a probe of Kubernetes.
type probe struct {
	Exec    struct{ Command []string }
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// line returns a command that asks as the probe asks: it knows the pod by its address. ports has the
// addresses of the container's ports, by their names.
func (p probe) line(ports map[string]string) []string {
	if p.HTTPGet.Path == "" {
		return p.Exec.Command
	}
	return []string{"curl", "-sS", "--fail", "--header", "Host: 10.4.0.5", "http://" + ports[p.HTTPGet.Port] + p.HTTPGet.Path}
}

// The manifests for Kubernetes give the application the names and addresses at which the emulator
// answers.
func TestKubernetesManifests(t *testing.T) {
	t.Parallel()
	content, err := os.Open("../scripts/kubernetes/plain/plain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var d deployment
	var kinds []string
	for documents := yaml.NewDecoder(content); ; {
		var document struct {
			Kind string
			Spec struct {
				Template struct {
					Spec struct {
						Containers []struct {
							Args, Command []string
							Env           []struct{ Name, Value string }
							Readiness     probe `yaml:"readinessProbe"`
							Liveness      probe `yaml:"livenessProbe"`
						}
					}
				}
			}
		}
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, document.Kind)
		for _, container := range document.Spec.Template.Spec.Containers {
			if document.Kind == "Deployment" {
				probes := recordstest.FreeAddress(t)
				d.arguments = withoutPorts(container.Args, probes)
				ports := map[string]string{"probes": probes}
				d.probes = map[string][]string{"readiness": container.Readiness.line(ports), "liveness": container.Liveness.line(ports)}
				continue
			}
			d.command = container.Command
			for _, variable := range container.Env {
				d.environment = append(d.environment, variable.Name+"="+variable.Value)
			}
		}
	}
	if want := []string{"Deployment", "Service", "Job"}; !slices.Equal(kinds, want) {
		t.Fatalf("the manifests are %q, want %q", kinds, want)
	}
	d.check(t)
}

// withoutPorts returns arguments without addresses that another test may have. Probes are served at the
// given address.
func withoutPorts(arguments []string, probes string) []string {
	addresses := map[string]string{"--listen": "127.0.0.1:0", "--control-listen": "127.0.0.1:0", "--probe-listen": probes}
	changed := slices.Clone(arguments)
	for i, name := range arguments[:len(arguments)-1] {
		if address, ok := addresses[name]; ok {
			changed[i+1] = address
		}
	}
	return changed
}
