package integration_test

import (
	"bytes"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// composition is a file for Compose, as far as the examples go: any other key is a mistake, so that
// nothing in a file stays untried.
type composition struct {
	Services map[string]composed
	Networks map[string]struct {
		IPAM struct{ Config []struct{ Subnet string } }
	}
	Common map[string]any `yaml:"x-service"`
}

// composed is a service of a file for Compose.
type composed struct {
	Build, Image string
	Command      []string
	Environment  map[string]string
	ExtraHosts   []string `yaml:"extra_hosts"`
	ReadOnly     bool     `yaml:"read_only"`
	CapDrop      []string `yaml:"cap_drop"`
	Sysctls      map[string]string
	Ports        []string
	DependsOn    map[string]struct{ Condition string } `yaml:"depends_on"`
	Networks     map[string]struct {
		IPv4 string `yaml:"ipv4_address"`
	}
	Healthcheck struct {
		Test              []string
		Interval, Timeout string
		StartPeriod       string `yaml:"start_period"`
	}
}

func readComposition(t *testing.T, name string) composition {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "scripts", "compose", name))
	if err != nil {
		t.Fatal(err)
	}
	// In Compose, two dollars stand for a single dollar.
	decoder := yaml.NewDecoder(strings.NewReader(strings.ReplaceAll(string(content), "$$", "$")))
	decoder.KnownFields(true)
	var file composition
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return file
}

// engine runs containers with Podman as root, in a namespace of its own. Podman needs mounts in a container
// with few rights, and leaves networks behind: both end with the namespace.
type engine struct {
	images imageBuilder
	keeper string // the ID of a process in the namespace
}

// inNamespace makes Podman work on machines with control groups of both versions and a read-only
// /var/lib/cni.
const inNamespace = `mount --make-rprivate /
ip link set lo up
mkdir -p /var/lib/cni && mount -t tmpfs tmpfs /var/lib/cni
umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo ready
exec cat`

func newEngine(t *testing.T) engine {
	t.Helper()
	for _, program := range []string{"podman", "unshare", "nsenter", "crun", "ip"} {
		lookPath(t, program, "without an engine for containers:")
	}
	e := engine{images: newImageBuilder(t)}
	keeper := exec.Command("unshare", "--mount", "--net", "sh", "-euc", inNamespace)
	input, inputErr := keeper.StdinPipe()
	output, outputErr := keeper.StdoutPipe()
	if inputErr != nil || outputErr != nil || keeper.Start() != nil {
		skip(t, "cannot make a namespace for containers")
	}
	t.Cleanup(func() { _, _ = input.Close(), keeper.Wait() })
	if said := make([]byte, len("ready\n")); func() bool { _, err := output.Read(said); return err != nil }() {
		skip(t, "cannot prepare a namespace for containers")
	}
	e.keeper = strconv.Itoa(keeper.Process.Pid)
	return e
}

// podman runs a command of Podman, and returns its output.
func (e engine) podman(arguments ...string) (string, error) {
	common := []string{
		"--target", e.keeper, "--mount", "--net", "--", "podman", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
		"--network-config-dir", filepath.Join(e.images.folder, "networks"), "--runtime", "crun",
	}
	command := exec.Command("nsenter", slices.Concat(common, e.images.arguments(arguments...))...)
	command.Env = append(os.Environ(), "HOME="+e.images.folder)
	output, err := command.CombinedOutput()
	return string(output), err
}

// composing is a file for Compose with running services.
type composing struct {
	engine
	composition

	addresses map[string]string // by service; Compose's name server knows them
}

// The network of services without a network in the file.
const (
	otherNetwork = "composed" // "default" has a meaning for Podman
	otherSubnet  = "10.89.77.0/24"
)

// up makes the networks of a file, and chooses the addresses that the file leaves open.
func (e engine) up(t *testing.T, file composition) composing {
	t.Helper()
	c := composing{e, file, map[string]string{}}
	subnets := map[string]string{otherNetwork: otherSubnet}
	for name, network := range file.Networks {
		subnets[name] = network.IPAM.Config[0].Subnet
	}
	for name, subnet := range subnets {
		if said, err := e.podman("network", "create", "--subnet", subnet, name); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	next := netip.MustParsePrefix(otherSubnet).Addr().Next() // the gateway
	for _, name := range slices.Sorted(maps.Keys(file.Services)) {
		next = next.Next()
		c.addresses[name] = next.String()
		for _, network := range file.Services[name].Networks {
			c.addresses[name] = network.IPv4
		}
	}
	t.Cleanup(func() {
		_, _ = e.podman("rm", "--force", "--all", "--time", "0")
		for name := range subnets {
			_, _ = e.podman("network", "rm", name)
		}
	})
	return c
}

// run runs a service at an address, with flags of Podman. If there is a command, it replaces the service's
// own.
func (c composing) run(name, address string, flags, command []string) (string, error) {
	service := c.Services[name]
	network := otherNetwork
	for own := range service.Networks {
		network = own
	}
	line := []string{
		"run", "--pull", "never", "--cgroups", "disabled", "--ulimit", "nofile=1024:4096", "--ulimit", "nproc=4096:4096",
		"--network", network, "--ip", address,
	}
	for _, other := range slices.Sorted(maps.Keys(c.addresses)) {
		line = append(line, "--add-host", other+":"+c.addresses[other])
	}
	for _, host := range service.ExtraHosts {
		line = append(line, "--add-host", host)
	}
	for _, variable := range slices.Sorted(maps.Keys(service.Environment)) {
		line = append(line, "--env", variable+"="+service.Environment[variable])
	}
	for _, capability := range service.CapDrop {
		line = append(line, "--cap-drop", capability)
	}
	for _, sysctl := range slices.Sorted(maps.Keys(service.Sysctls)) {
		line = append(line, "--sysctl", sysctl+"="+service.Sysctls[sysctl])
	}
	if service.ReadOnly {
		line = append(line, "--read-only")
	}
	image := service.Image
	if service.Build != "" {
		image = emulatorImage
	}
	if command == nil {
		command = service.Command
	}
	return c.podman(slices.Concat(line, flags, []string{image}, command)...)
}

// start starts the services on which another service depends, and waits until they are healthy.
func (c composing) start(t *testing.T, of string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(c.Services[of].DependsOn)) {
		if said, err := c.run(name, c.addresses[name], []string{"--detach", "--name", name}, nil); err != nil {
			t.Fatalf("start %q: %v\n%s", name, err, said)
		}
		if c.Services[of].DependsOn[name].Condition == "service_healthy" {
			c.awaitHealth(t, name)
		}
	}
}

func (c composing) awaitHealth(t *testing.T, name string) {
	t.Helper()
	const pause = 200 * time.Millisecond
	late := time.After(patience)
	for {
		said, err := c.podman(slices.Concat([]string{"exec", name}, c.Services[name].Healthcheck.Test[1:])...)
		if err == nil {
			return
		}
		select {
		case <-time.After(pause):
		case <-late:
			logged, _ := c.podman("logs", name)
			t.Fatalf("%q is not healthy: %v\n%s\n%s", name, err, said, logged)
		}
	}
}

// The names of the images in the examples. They are made here, because no registry can be reached.
const (
	emulatorImage    = "localhost/gcp-metadata-emulator"
	applicationImage = "docker.io/library/buildpack-deps:trixie-curl"
)

// layer makes a folder with programs and the libraries that they need, by their places in an image.
func layer(t *testing.T, programs map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for place, program := range programs {
		copyInto(t, folder, place, program)
		needed, _ := exec.Command("ldd", program).Output() // fails for a program without libraries
		for _, library := range regexp.MustCompile(`(?m)(/\S+) \(0x`).FindAllStringSubmatch(string(needed), -1) {
			copyInto(t, folder, library[1], library[1])
		}
	}
	return folder
}

func copyInto(t *testing.T, folder, place, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const executable fs.FileMode = 0o755
	target := filepath.Join(folder, "files", place)
	if err := os.MkdirAll(filepath.Dir(target), executable); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, content, executable); err != nil {
		t.Fatal(err)
	}
}

// image builds an image of a folder that layer has made.
func (b imageBuilder) image(t *testing.T, name, folder, described string) {
	t.Helper()
	description := filepath.Join(folder, "Containerfile")
	if err := os.WriteFile(description, []byte(described+"\nCOPY files /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run(t, "build", "--pull=never", "--format", "docker", "--tag", name, "--file", description, folder)
}

// describedEmulator returns the last stage of the Dockerfile, without the copy from the compiler's stage.
func describedEmulator(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, stage, found := bytes.Cut(content, []byte("FROM scratch AS base\n"))
	stage, _, ended := bytes.Cut(stage, []byte("\nFROM "))
	if !found || !ended {
		t.Fatal("the Dockerfile has no stage \"base\"")
	}
	return "FROM scratch\n" + string(stage)
}

// newComposeEngine makes the images of the emulator and of an application: a shell, curl and a program with
// Google's libraries.
func newComposeEngine(t *testing.T) engine {
	t.Helper()
	e, prepared := newEngine(t), theStage()
	e.images.image(t, emulatorImage, layer(t, map[string]string{"/gcp-metadata-emulator": prepared.Emulator}), describedEmulator(t))
	shell := lookPath(t, "busybox", "without a shell for the application's image:")
	e.images.image(t, applicationImage, layer(t, map[string]string{
		"/bin/sh": shell, "/bin/curl": lookPath(t, "curl", "the application is curl:"), "/gocloud": prepared.GoCloud,
	}), "FROM scratch\nENV PATH=/bin")
	if said, err := e.podman("run", "--rm", "--pull", "never", "--cgroups", "disabled", "--ulimit", "nofile=1024:4096", "--ulimit", "nproc=4096:4096",
		"--network", "none", applicationImage, "sh", "-c", "echo works"); err != nil || said != "works\n" {
		skip(t, "Podman cannot run a container here:", err, said)
	}
	return e
}

// Each example for Compose works with a real engine: Podman does the same as the file.
func TestComposeEngine(t *testing.T) {
	e := newComposeEngine(t)
	t.Run("plain", func(t *testing.T) {
		c := e.up(t, readComposition(t, "plain.yaml"))
		c.start(t, "application")
		if said, err := c.run("application", c.addresses["application"], []string{"--rm"}, nil); err != nil || !strings.Contains(said, `"access_token":"ya29.`) {
			t.Errorf("the application: %v\n%s", err, said)
		}
	})
	t.Run("identities", func(t *testing.T) {
		c := e.up(t, readComposition(t, "identities.yaml"))
		c.start(t, "login")
		for _, name := range []string{"login", "user-profiles", "search"} {
			want := name + "@demo-project.iam.gserviceaccount.com"
			if said, err := c.run(name, c.addresses[name], []string{"--rm"}, nil); err != nil || said != want {
				t.Errorf("%s: %v\n%s, want %s", name, err, said, want)
			}
			if said, err := c.run(name, c.addresses[name], []string{"--rm"}, []string{"/gocloud", "access"}); err != nil || !strings.Contains(said, "ya29.") {
				t.Errorf("%s with Google's library: %v\n%s", name, err, said)
			}
			asked, err := c.podman("exec", "emulator", "/gcp-metadata-emulator", "requests", "--route", "mds.token")
			if by := "instance " + name + ", by address " + c.addresses[name]; err != nil || !strings.Contains(asked, by) {
				t.Errorf("the journal does not say %q: %v\n%s", by, err, asked)
			}
		}
		const stranger = "169.254.169.99"
		said, err := c.run("login", stranger, []string{"--rm"}, []string{"curl", "-sS", "-H", "Metadata-Flavor:Google", "http://metadata/computeMetadata/v1/instance/name"})
		if err != nil || !strings.Contains(said, "no instance has the address "+stranger) {
			t.Errorf("a container without an identity: %v\n%s", err, said)
		}
	})
	t.Run("storage", func(t *testing.T) {
		file := readComposition(t, "storage.yaml")
		program := filepath.Join(t.TempDir(), "fake-gcs-server")
		if err := build(".", program, "github.com/fsouza/fake-gcs-server"); err != nil {
			t.Fatal(err)
		}
		e.images.image(t, file.Services["storage"].Image, layer(t, map[string]string{"/fake-gcs-server": program}), "FROM scratch\nENTRYPOINT [\"/fake-gcs-server\"]")
		c := e.up(t, file)
		c.start(t, "application")
		if said, err := c.run("application", c.addresses["application"], []string{"--rm"}, nil); err != nil || !strings.Contains(said, `"name":"photos"`) {
			logged, _ := c.podman("logs", "emulator")
			t.Errorf("the application: %v\n%s\n%s", err, said, logged)
		}
	})
}
