package server_test

import (
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
)

// If the control plane has an address of its own, it answers only there, and nothing else does.
func TestControlPlaneApart(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
		config.PublicURL = func() string { return "http://127.0.0.1:8254" }
	})
	apart := e.ServeControl(t)
	for _, operation := range server.ControlOperations() {
		method, _, _ := strings.Cut(operation, " ")
		main := e.Address
		if got, nowhere := emulatortest.StatusAt(t, main, operation), emulatortest.StatusAt(t, main, method+" /nowhere"); got != nowhere {
			t.Errorf("%s on the main address: status %d, want %d, as for an unknown path", operation, got, nowhere)
		}
	}
	for _, path := range []string{"/", "/computeMetadata/v1/", "/token", "/oauth2/v3/certs"} {
		if got := emulatortest.StatusAt(t, apart, "GET "+path, "Metadata-Flavor", "Google"); got != http.StatusNotFound {
			t.Errorf("%s at the control plane's address: status %d", path, got)
		}
	}
	for address, want := range map[string]int{e.Address: http.StatusOK, apart: http.StatusSeeOther} {
		if got := emulatortest.StatusAt(t, address, "GET /", "Accept", "text/html"); got != want {
			t.Errorf("a browser at %s: status %d, want %d", address, got, want)
		}
	}
	if got := emulatortest.StatusAt(t, apart, "GET /emulator/"); got != http.StatusOK {
		t.Errorf("the page at the control plane's address: status %d", got)
	}
	if got := emulatortest.StatusAt(t, e.Address, "GET /emulator/"); got != http.StatusNotFound {
		t.Errorf("the page on the main address: status %d", got)
	}
}

// The description has every operation of the control plane, and no other operation.
func TestControlPlaneIsDescribed(t *testing.T) {
	t.Parallel()
	described := emulatortest.Describe(t, emulatortest.Unserved(t, "")).Operations()
	for operation, name := range server.ControlRoutes() {
		id, ok := described[operation]
		switch {
		case !ok:
			t.Errorf("server/control/openapi.yaml lacks %s; describe it there, with operationId %s", operation, name)
		case id != name:
			t.Errorf("server/control/openapi.yaml has operationId %s for %s; the route is named %s", id, operation, name)
		}
		delete(described, operation)
	}
	for operation := range described {
		t.Errorf("server/control/openapi.yaml describes %s, which does not exist", operation)
	}
}
