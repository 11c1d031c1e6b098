package server_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/router/hostname"
)

const readyPath, livePath, metricsPath = "/emulator/v1/readyz", "/emulator/v1/livez", "/emulator/metrics"

// statusUnder returns the status of an answer to a GET under a Host.
func statusUnder(t *testing.T, address, host, path, more string) int {
	t.Helper()
	status, _ := answerTo(t, connect(t, "127.0.0.1", address), "GET "+path+" HTTP/1.1\nHost: "+host+"\n"+more+"\n")
	return status
}

// An orchestrator probes and scrapes by the address of a pod, or by any name. Nothing else is answered
// there, and no web page of another origin gets an answer.
func TestProbesUnderAnyHost(t *testing.T) {
	t.Parallel()
	e := newCallers(t, containers, unchanged)
	if _, err := e.Keys.Google().Active(t.Context()); err != nil { // readiness
		t.Fatal(err)
	}
	port, stop := listening(t, e.ServeProbes)
	defer stop()
	control := e.ServeControl(t)
	alone := net.JoinHostPort("127.0.0.1", port)
	for _, host := range []string{"10.4.0.7:8254", "[fd00::7]:8254", "emulator.metadata.svc:8254", "localhost", "169.254.169.254", ""} {
		for _, path := range []string{readyPath, livePath, metricsPath} {
			for where, address := range map[string]string{"main": e.Address, "probes": alone, "control": strings.TrimPrefix(control, "http://")} {
				if got := statusUnder(t, address, host, path, ""); got != http.StatusOK {
					t.Errorf("%s address, host %q, %s: %d", where, host, path, got)
				}
			}
		}
	}
	for path, want := range map[string]int{"/emulator/v1/state": http.StatusForbidden, "/oauth2/v3/certs": http.StatusForbidden, "/computeMetadata/v1/": http.StatusForbidden} {
		if got := statusUnder(t, e.Address, "10.4.0.7:8254", path, ""); got != want {
			t.Errorf("main address: %s: %d, want %d", path, got, want)
		}
		if got := statusUnder(t, alone, "localhost", path, ""); got != http.StatusNotFound {
			t.Errorf("address of the probes: %s: %d, want 404", path, got)
		}
	}
	for _, header := range []string{"Origin: http://evil.example.com\n", "Sec-Fetch-Site: cross-site\n"} {
		if got := statusUnder(t, e.Address, "10.4.0.7:8254", metricsPath, header); got != http.StatusForbidden {
			t.Errorf("%q: %d, want 403", header, got)
		}
	}
	if got := statusUnder(t, e.Address, "metadata.google.internal", livePath, ""); got != http.StatusNotFound {
		t.Errorf("the metadata server has a probe: %d", got)
	}
}

// A range of addresses as an allowed host lets the control plane answer by any address in it.
func TestAllowedRange(t *testing.T) {
	t.Parallel()
	e := newCallers(t, containers, func(config *server.Config) {
		config.AllowedHosts = make([]hostname.Pattern, 1)
		if err := config.AllowedHosts[0].UnmarshalText([]byte("10.4.0.0/16")); err != nil {
			t.Fatal(err)
		}
	})
	for host, want := range map[string]int{"10.4.200.1:8254": http.StatusOK, "10.5.0.1:8254": http.StatusForbidden} {
		for _, path := range []string{"/emulator/v1/instances", "/oauth2/v3/certs"} {
			if got := statusUnder(t, e.Address, host, path, ""); got != want {
				t.Errorf("host %q, %s: %d, want %d", host, path, got, want)
			}
		}
	}
}
