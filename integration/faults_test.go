package integration_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"cloud.google.com/go/compute/metadata"
	"gcp-metadata-emulator/server/servertest"
)

// failure is a library's error message for a status, and the number of its requests.
type failure struct {
	Message  string
	Status   int
	Requests int
}

// The message of Google's Node library for a refusal advises people to check their machine.
func TestNodeFaults(t *testing.T) {
	r := newRig(t)
	needNode(t, r.stage)
	got := report[struct {
		NotFound    failure `json:"404"`
		Forbidden   failure `json:"403"`
		Internal    failure `json:"500"`
		Unavailable failure `json:"503"`
		Token       string
	}](t, r.exec(t, r.stage.Node, nodeFolder+"/faults.mjs"))
	const retries = 3
	for want, failed := range map[failure]failure{
		{"A Not Found error was returned while attempting to retrieve an access", http.StatusNotFound, 1}:        got.NotFound,
		{"A Forbidden error was returned while attempting to retrieve an access token", http.StatusForbidden, 1}: got.Forbidden,
		{"Could not refresh access token: <!DOCTYPE html>", http.StatusInternalServerError, 1 + retries}:         got.Internal,
		{"Could not refresh access token: <!DOCTYPE html>", http.StatusServiceUnavailable, 1 + retries}:          got.Unavailable,
	} {
		if !strings.HasPrefix(failed.Message, want.Message) || failed.Status != want.Status || failed.Requests != want.Requests {
			t.Errorf("the library has asked %d times, and says of status %d %.200q; want %+v", failed.Requests, failed.Status, failed.Message, want)
		}
	}
	r.checkAccessToken(t, got.Token, defaultAccount)
}

func TestPythonFaults(t *testing.T) {
	r := newRig(t)
	python, folder := googleAuth(t)
	got := report[map[string]failure](t, r.exec(t,
		"env", "PYTHONPATH="+folder, "PYTHONDONTWRITEBYTECODE=1", python, filepath.Join("clients", "python", "faults.py")))
	for status, want := range map[string]failure{
		"404": {Message: "Status: 404", Requests: 1},
		"403": {Message: "Status: 403", Requests: 1},
		"500": {Requests: 3}, // the library retries
		"503": {Requests: 3},
	} {
		failed := got[status]
		if !strings.Contains(failed.Message, want.Message) || (failed.Message == "") != (want.Message == "") || failed.Requests != want.Requests {
			t.Errorf("of status %s the library says %.200q after %d requests, want %+v", status, failed.Message, failed.Requests, want)
		}
	}
}

func TestGoFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		effects  []servertest.Effect
		requests int
		refused  int // status in the error; 0: no error
	}{
		"unavailable twice": {[]servertest.Effect{servertest.Status(http.StatusServiceUnavailable), servertest.Times(2)}, 3, 0},
		"broken twice":      {[]servertest.Effect{servertest.Status(http.StatusInternalServerError), servertest.Times(2)}, 3, 0},
		"forbidden":         {[]servertest.Effect{servertest.Status(http.StatusForbidden)}, 1, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			emu := servertest.New(t)
			emu.Fail("mds.token", test.effects...)
			_, err := metadata.NewClient(emu.Client()).GetWithContext(t.Context(), "instance/service-accounts/default/token")
			refusal, isRefused := errors.AsType[*metadata.Error](err)
			if (err != nil) != (test.refused != 0) || isRefused && refusal.Code != test.refused {
				t.Errorf("the library says %v, want status %d", err, test.refused)
			}
			if got := len(emu.Requests("mds.token")); got != test.requests {
				t.Errorf("it has asked %d times, want %d", got, test.requests)
			}
		})
	}
}
