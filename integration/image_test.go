package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// imageBuilder builds images without an engine, in a storage of its own.
type imageBuilder struct{ buildah, folder string }

func newImageBuilder(t *testing.T) imageBuilder {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "only root may build an image here")
	}
	b := imageBuilder{buildah: lookPath(t, "buildah", "without a builder of images:"), folder: t.TempDir()}
	t.Cleanup(func() { _ = exec.Command(b.buildah, b.arguments("rm", "--all")...).Run() })
	return b
}

func (b imageBuilder) arguments(arguments ...string) []string {
	return append([]string{
		"--root", filepath.Join(b.folder, "root"), "--runroot", filepath.Join(b.folder, "run"), "--storage-driver", "vfs",
	}, arguments...)
}

func (b imageBuilder) run(t *testing.T, arguments ...string) string {
	t.Helper()
	command := exec.Command(b.buildah, b.arguments(arguments...)...)
	command.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot", "HOME="+b.folder)
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		t.Fatalf("buildah %q: %v\n%s%s", arguments, err, output, complaints.String())
	}
	return strings.TrimSpace(string(output))
}

// compiler makes the image that the Dockerfile compiles in, from the Go of this machine, because
// no registry can be reached.
func (b imageBuilder) compiler(t *testing.T, name string) {
	t.Helper()
	shell := lookPath(t, "busybox", "without a shell for the compiler's image:")
	container := b.run(t, "from", "scratch")
	b.run(t, "add", container, shell, "/bin/busybox")
	for _, command := range []string{"sh", "mkdir", "chmod", "cp", "dirname", "mktemp", "mv", "patch", "rm", "sed"} {
		b.run(t, "run", container, "--", "/bin/busybox", "ln", "-s", "busybox", "/bin/"+command)
	}
	b.run(t, "run", container, "--", "/bin/busybox", "mkdir", "-p", "/tmp", "/root", "/go/pkg/mod")
	b.run(t, "add", container, goEnv(t, "GOROOT"), "/usr/local/go")
	b.run(t, "config", "--env", "PATH=/usr/local/go/bin:/bin", "--env", "GOPATH=/go", "--env", "GOCACHE=/go/cache",
		"--env", "GOTOOLCHAIN=local", "--env", "GOPROXY=off", "--env", "GOFLAGS=-modcacherw", container)
	b.run(t, "commit", container, name)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// The image has a version, labels and a health check, and its program works in it: without a shell,
// as an unprivileged user, with the folders that the Dockerfile makes.
func TestImage(t *testing.T) {
	t.Parallel()
	b := newImageBuilder(t)
	b.compiler(t, "docker.io/library/golang:1.26")
	b.run(t, "build", "--pull=never", "--format", "docker", "--volume", goEnv(t, "GOMODCACHE")+":/go/pkg/mod", "--volume", goEnv(t, "GOCACHE")+":/go/cache",
		"--build-arg", "VERSION=v1.2.3", "--build-arg", "REVISION=abc", "--tag", "localhost/emulator", "..")
	var image struct {
		Docker struct {
			Config struct {
				User        string            `json:"User"`
				Entrypoint  []string          `json:"Entrypoint"`
				Labels      map[string]string `json:"Labels"`
				Healthcheck struct {
					Test []string `json:"Test"`
				} `json:"Healthcheck"`
			} `json:"config"`
		} `json:"Docker"`
	}
	if err := json.Unmarshal([]byte(b.run(t, "inspect", "--type", "image", "localhost/emulator")), &image); err != nil {
		t.Fatal(err)
	}
	config := image.Docker.Config
	if got := fmt.Sprintf("%s %s %s", config.User, config.Entrypoint, config.Healthcheck.Test); got != "65534:65534 [/gcp-metadata-emulator] [CMD /gcp-metadata-emulator ready]" {
		t.Errorf("the image has user, entrypoint and health check %q", got)
	}
	for label, want := range map[string]string{"version": "v1.2.3", "revision": "abc", "licenses": "Apache-2.0", "title": "gcp-metadata-emulator"} {
		if got := config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}

	container := b.run(t, "from", "--pull=never", "localhost/emulator")
	inside := func(arguments ...string) string {
		return b.run(t, append([]string{"run", container, "--", "/gcp-metadata-emulator"}, arguments...)...)
	}
	if got := inside("version"); !strings.HasPrefix(got, "gcp-metadata-emulator v1.2.3 ") {
		t.Errorf("version prints %q", got)
	}
	exec := []string{"exec", "--listen", "127.0.0.1:0", "--", "/gcp-metadata-emulator"}
	if got := inside(append(exec, "token", "id", "--audience", "orders")...); strings.Count(got, ".") != 2 {
		t.Errorf("token prints %q", got)
	}
	if got := inside(append(exec, "env", "--shell", "dotenv")...); !strings.Contains(got, "GCE_METADATA_HOST=") {
		t.Errorf("env prints %q", got)
	}
}
