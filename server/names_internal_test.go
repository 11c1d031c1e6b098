package server

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/reach"
	"gcp-metadata-emulator/server/router/hostname"
)

// Programs whose hosts are compiled in find every operation there, but the emulator's own.
func TestEveryRouteHasAName(t *testing.T) {
	t.Parallel()
	for _, route := range (surfaces{}).routes() {
		var names []string
		for name := range surfacesByName() {
			if name != controlName && route.isServedAt(name) {
				names = append(names, name)
			}
		}
		if isControl := strings.HasPrefix(route.name, "control."); isControl == (len(names) > 0) {
			t.Errorf("%s is served at %q", route.name, names)
		}
	}
}

func TestMainName(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"oauth2.googleapis.com":              "oauth2.googleapis.com",
		"oauth2.mtls.googleapis.com":         "oauth2.googleapis.com",
		"sts.us-east1.rep.googleapis.com":    "sts.googleapis.com",
		"iamcredentials.mtls.googleapis.com": "iamcredentials.googleapis.com",
		"metadata.google.internal":           metadataName,
		"metadata.goog":                      metadataName,
		"accounts.google.com":                "accounts.google.com",
		"storage.googleapis.com":             deadName,
		"storage.mtls.googleapis.com":        deadName,
		"oauth2.evil.googleapis.com":         deadName,
	} {
		if got := mainName(host); got != want {
			t.Errorf("mainName(%q) = %q, want %q", host, got, want)
		}
	}
}

// A hosts file leads every name to the emulator, but for those of regions.
func TestEveryNameHasAHostsLine(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, line := range reach.HostsLines() {
		for _, name := range line.Names {
			main := mainName(hostname.Of(name))
			if main == deadName {
				t.Errorf("%s leads nowhere", name)
			}
			found[main] = true
		}
	}
	for name := range surfacesByName() {
		if !found[name] && name != controlName { // which has an address, and no name
			t.Errorf("no line leads %s here", name)
		}
	}
}

// However many names are asked for, the handlers are few.
func TestNamesShareHandlers(t *testing.T) {
	t.Parallel()
	emulated := clock.New(time.Now)
	all := surfaces{observer: &observer{
		clock: emulated, faults: fault.New(nil, nil, emulated), journal: journal.New(), counts: metrics.NewRequests([]string{unknownRoute}),
	}}
	named := all.named(slog.New(slog.DiscardHandler), nil)
	for _, host := range []string{"a.googleapis.com", "b.googleapis.com"} {
		recorder := httptest.NewRecorder()
		named(host).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "https://"+host+"/v1/anything", nil))
		if recorder.Code != http.StatusNotFound {
			t.Errorf("%s answers %d", host, recorder.Code)
		}
	}
}
