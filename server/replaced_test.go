package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/world"
	"gcp-metadata-emulator/server/world/worldtest"
)

// drive sends a request to the control plane, and returns the status.
func drive(ctx context.Context, s *server.Server, call, body string) (int, string) {
	method, path, _ := strings.Cut(call, " ")
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, method, "http://127.0.0.1/emulator/v1"+path, strings.NewReader(body)))
	return recorder.Code, recorder.Body.String()
}

// While the world is replaced, every request to the control plane is either done or refused. If an
// event's instance is replaced between the request and the beginning of the event, the event is a
// conflict.
func TestControlPlaneWhileWorldIsReplaced(t *testing.T) {
	t.Parallel()
	s := emulatortest.Unserved(t, "instances: [{name: there}]")
	done, ended := make(chan struct{}), make(chan struct{})
	replaced := 0
	go func() {
		defer close(ended)
		worlds := []*world.World{worldtest.Parse(t, "instances: [{name: another}]"), worldtest.Parse(t, "instances: [{name: there}]")}
		for ; t.Context().Err() == nil; replaced++ {
			select {
			case <-done:
				return
			default:
				s.Replace(worlds[replaced%2])
			}
		}
	}()
	calls := map[string]string{
		"POST /instances/there/events":                           `{"type": "preempt"}`,
		"GET /instances/there/events":                            "",
		"DELETE /instances/there/events":                         "",
		"PUT /instances/there/metadata/instance/attributes/k":    `{"value": "v"}`,
		"GET /instances/there/metadata/instance/attributes/k":    "",
		"DELETE /instances/there/metadata/instance/attributes/k": "",
		"GET /instances":                   "",
		"GET /state":                       "",
		"POST /reset":                      "",
		"POST /clock:advance":              `{"duration": "1s"}`,
		"GET /credentials/service-account": "",
		"GET /credentials/impersonated-service-account?source=service-account": "",
		"POST /tokens:revoke": `{}`,
	}
	statuses := map[int]int{}
	ask := func(call, body string) {
		status, answer := drive(t.Context(), s, call, body)
		if statuses[status]++; status >= http.StatusInternalServerError {
			t.Errorf("%s: %d %s", call, status, answer)
		}
	}
	for range 60 {
		for call, body := range calls {
			ask(call, body)
		}
	}
	const most = 100_000 // a conflict needs a few hundred
	for range most {
		if statuses[http.StatusConflict] > 0 {
			break
		}
		ask("POST /instances/there/events", `{"type": "preempt"}`)
	}
	close(done)
	<-ended
	t.Logf("%d replacements, statuses %v", replaced, statuses)
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusConflict} {
		if statuses[status] == 0 {
			t.Errorf("no call got %d: %v", status, statuses)
		}
	}
}
