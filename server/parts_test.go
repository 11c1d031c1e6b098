package server_test

import (
	"net/http"
	"strings"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/control"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/metrics"
)

// An emulator is ready if every necessary part is. If a part is lost but not necessary, the answer names
// it. The emulator also reports the measurements of a part.
func TestParts(t *testing.T) {
	t.Parallel()
	ready, problem := false, "the pods have not been seen yet"
	part := control.Part{
		Health:   func() (bool, string) { return ready, problem },
		Readings: []metrics.Reading{{Name: "part_lost", Help: "Lost.", Value: func() float64 { return 1 }}},
	}
	e := emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) { config.Parts = []control.Part{part} })
	if err := e.Keys.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ready   bool
		problem string
		status  int
		want    string
	}{
		{false, "the pods have not been seen yet", http.StatusServiceUnavailable, `"the pods have not been seen yet"`},
		{true, "the pods cannot be watched", http.StatusOK, `"problems":["the pods cannot be watched"]`},
		{true, "", http.StatusOK, `"iam":"off"}`},
	} {
		ready, problem = test.ready, test.problem
		got := emulatortest.Send(t.Context(), e.Server, http.MethodGet, "/emulator/v1/readyz", "")
		if body := strings.Join(strings.Fields(got.Body.String()), ""); got.Code != test.status || !strings.Contains(body, strings.Join(strings.Fields(test.want), "")) {
			t.Errorf("%+v: status %d, %s", test, got.Code, body)
		}
		if live := emulatortest.Send(t.Context(), e.Server, http.MethodGet, "/emulator/v1/livez", ""); live.Code != http.StatusOK {
			t.Errorf("livez: status %d", live.Code)
		}
	}
	if got := emulatortest.Send(t.Context(), e.Server, http.MethodGet, "/emulator/metrics", ""); !strings.Contains(got.Body.String(), "part_lost 1\n") {
		t.Error("the metrics do not have the part's reading")
	}
}
