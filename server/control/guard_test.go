package control_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
)

// At every address, the control plane refuses web pages of other origins, and host names that an
// attacker can point to this machine, except for the probes. Package server tests that the description has every
// operation.
func TestControlPlaneIsGuarded(t *testing.T) {
	t.Parallel()
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
		config.PublicURL = func() string { return "http://127.0.0.1:8254" }
	})
	apart := e.ServeControl(t)
	both := emulatortest.New(t)
	together := both.Address
	operations := slices.Collect(maps.Keys(emulatortest.Describe(t, both.Server).Operations()))
	for _, operation := range append(operations, "GET /emulator/v1/unknown", "OPTIONS /emulator/v1/state") {
		for refused, header := range map[string][]string{
			"another origin":         {"Origin", "https://attacker.example.com"},
			"no origin":              {"Origin", "null"},
			"the same with TLS":      {"Origin", "https://localhost"},
			"another site":           {"Sec-Fetch-Site", "cross-site"},
			"another port":           {"Sec-Fetch-Site", "same-site"},
			"a foreign host":         {"Host", "attacker.example.com"},
			"a name of Google's":     {"Host", "metadata.google.internal"},
			"the metadata's address": {"Host", "169.254.169.254"},
			"an instance's name":     {"Host", "demo-vm"},
		} {
			if header[0] == "Host" && slices.Contains([]string{"GET /emulator/v1/livez", "GET /emulator/v1/readyz", "GET /emulator/metrics"}, operation) {
				continue // probes and scrapers ask by address: TestProbes of package server
			}
			for place, address := range map[string]string{"together": together, "apart": apart} {
				got := emulatortest.StatusAt(t, address, operation, header...)
				isOthers := place == "together" && header[0] == "Host" && got >= http.StatusBadRequest // Google's host names lead to other surfaces
				if got != http.StatusForbidden && !isOthers {
					t.Errorf("%s, %s, from %s: status %d", operation, place, refused, got)
				}
			}
		}
	}
	for _, header := range [][]string{{"Host", "localhost:1"}, {"Host", "emulator.test"}, {"Origin", "http://" + apart}, {"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}} {
		if got := emulatortest.StatusAt(t, apart, "GET /emulator/v1/livez", header...); got != http.StatusOK {
			t.Errorf("status %d with %s", got, header)
		}
	}
}
