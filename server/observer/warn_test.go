package observer_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server/clock"
	"gcp-metadata-emulator/server/fault"
	"gcp-metadata-emulator/server/journal"
	"gcp-metadata-emulator/server/metrics"
	"gcp-metadata-emulator/server/observer"
	"gcp-metadata-emulator/server/reason"
	"gcp-metadata-emulator/server/wire"
)

// An unplayed name or method is a warning once for each client and host. Other refusals are not.
func TestWarnings(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	watch := clock.New(time.Now)
	o := observer.New(observer.Config{
		Clock: watch, Faults: fault.New(nil, nil, watch), Journal: journal.New(), Counts: metrics.NewRequests(nil),
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	refused := o.Refused("proxy")
	for i, test := range []struct {
		program, host string
		code          reason.Code
		warned        bool
	}{
		{"a/1", "x.googleapis.com", reason.NotPlayed, true},
		{"a/1", "x.googleapis.com", reason.NotPlayed, false},
		{"a/1", "y.googleapis.com", reason.NotPlayed, true},
		{"b/1", "x.googleapis.com", reason.NotPlayed, true},
		{"a/1", "example.com", reason.NotProxied, true},
		{"a/1", "example.com", reason.NotProxied, false},
		{"a/1", "z.googleapis.com", reason.NoCredential, false},
		{"a/1", "z.googleapis.com", reason.NotPlayed, true},
	} {
		log.Reset()
		request := httptest.NewRequest(http.MethodGet, "http://"+test.host+"/v1", http.NoBody)
		request.Header.Set("User-Agent", test.program)
		refused(request, wire.Response{Status: http.StatusNotFound, Refusal: &journal.Refusal{Code: test.code, Reason: "no", Hint: "change it"}})
		line := log.String()
		if warned := strings.Contains(line, "level=WARN"); warned != test.warned || warned && !strings.Contains(line, "change it") {
			t.Errorf("request %d: %q", i, line)
		}
	}
	// The memory of warnings is bounded: after many others, a client gets a warning again.
	for i := range 1000 {
		request := httptest.NewRequest(http.MethodGet, "http://host"+strconv.Itoa(i)+".googleapis.com/v1", http.NoBody)
		refused(request, wire.Response{Status: http.StatusNotFound, Refusal: &journal.Refusal{Code: reason.NotPlayed, Reason: "no"}})
	}
	log.Reset()
	request := httptest.NewRequest(http.MethodGet, "http://x.googleapis.com/v1", http.NoBody)
	request.Header.Set("User-Agent", "a/1")
	refused(request, wire.Response{Status: http.StatusNotFound, Refusal: &journal.Refusal{Code: reason.NotPlayed, Reason: "no"}})
	if !strings.Contains(log.String(), "level=WARN") {
		t.Error("everybody is remembered")
	}
}
