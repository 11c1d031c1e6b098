// Package testcontainers_test starts the emulator's image for a test, and leads Google's library to it.
//
//	docker build -t gcp-metadata-emulator ../../../..
//	go test ./...
package testcontainers_test

import (
	"strings"
	"testing"

	"cloud.google.com/go/compute/metadata"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

const world = `project: {id: from-a-container}`

// hosts are the names of the machine with the engine besides localhost: if this test itself runs in a
// container, as in most CI, it is the gateway's address, or the name of the engine's service.
const hosts = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,docker"

// startEmulator starts an emulator of a fixture, and leads this process to it. Docker's health check
// is the image's own; the test waits for the same answer from outside.
func startEmulator(t *testing.T, fixture string) {
	t.Helper()
	container, err := testcontainers.Run(t.Context(), "gcp-metadata-emulator",
		testcontainers.WithExposedPorts("8254/tcp"),
		testcontainers.WithFiles(testcontainers.ContainerFile{
			Reader: strings.NewReader(fixture), ContainerFilePath: "/world.yaml", FileMode: 0o444,
		}),
		testcontainers.WithEnv(map[string]string{
			"GCP_METADATA_EMULATOR_FIXTURE": "/world.yaml", "GCP_METADATA_EMULATOR_ALLOW_HOST": hosts,
		}),
		testcontainers.WithWaitStrategy(wait.ForHTTP("/emulator/v1/readyz").WithPort("8254/tcp")),
	)
	testcontainers.CleanupContainer(t, container)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := container.PortEndpoint(t.Context(), "8254/tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GCE_METADATA_HOST", endpoint)
}

func TestProject(t *testing.T) {
	testcontainers.SkipIfProviderIsNotHealthy(t)
	startEmulator(t, world)
	project, err := metadata.NewClient(nil).ProjectIDWithContext(t.Context())
	if err != nil || project != "from-a-container" {
		t.Fatalf("the project is %q (%v)", project, err)
	}
}
