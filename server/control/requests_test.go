package control_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gcp-metadata-emulator/server/emulatortest"
)

// An expectation is undecided if the journal has forgotten too many requests.
func TestExpectationsOfWhatIsForgotten(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	const journalled = 1000
	emulatortest.Ask(t.Context(), e.Server, emulatortest.AttachedPath+"default/token")
	if err := e.Clock.Advance(time.Second); err != nil {
		t.Fatal(err)
	}
	for range journalled {
		emulatortest.Ask(t.Context(), e.Server, "/computeMetadata/v1/project/project-id")
	}
	for query, want := range map[string]string{
		"route=mds.token&expect=0":                            "so the result is undecided",
		"route=mds.token&expect=1":                            "so the result is undecided",
		"route=mds.token&expect=<1":                           "so the result is undecided",
		"route=mds.token&expect=<2":                           "",
		"route=mds.token&expect=>=1":                          "so the result is undecided",
		"route=mds.token&expect=2":                            "the journal has forgotten older requests (1)\"",
		"route=mds.token&expect=<=1":                          "",
		"route=mds.metadata&expect=>=1000":                    "",
		"route=mds.metadata&expect=999":                       "the journal has forgotten older requests (1)\"",
		"route=mds.token&expect=0&since=1":                    "",
		"route=mds.token&expect=0&since=2026-11-21T12:00:01Z": "",
		"route=mds.token&expect=0&since=2026-11-21T12:00:00Z": "so the result is undecided",
	} {
		got := emulatortest.Ask(t.Context(), e.Server, "/emulator/v1/requests?"+query)
		if (got.Code == http.StatusOK) != (want == "") || want != "" && (got.Code != http.StatusPreconditionFailed || !strings.Contains(got.Body.String(), want)) {
			t.Errorf("%s: status %d: %.500s", query, got.Code, got.Body)
		}
	}
}

// Each operation of the control plane accepts exactly the query parameters in its description. Only
// the operations for probes accept any query.
func TestParametersAreDescribed(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	d := emulatortest.Describe(t, e.Server)
	for operation := range d.Operations() {
		method, path, _ := strings.Cut(operation, " ")
		if strings.HasSuffix(path, "/livez") || strings.HasSuffix(path, "/readyz") {
			continue
		}
		described := d.QueryParameters(path, strings.ToLower(method))
		request := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+strings.NewReplacer("{", "", "}", "").Replace(path)+"?nonsense=1", http.NoBody)
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, request)
		want := `there is no parameter \"nonsense\"; use one of: ` + strings.Join(described, ", ") + `"`
		if len(described) == 0 {
			want = `there is no parameter \"nonsense\"; this operation has no parameters"`
		}
		if got := recorder.Body.String(); recorder.Code != http.StatusBadRequest || !strings.Contains(got, want) {
			t.Errorf("%s: status %d %s; want %s", operation, recorder.Code, got, want)
		}
	}
}

// Waiting requests and the journal are shown without secrets.
func TestWaitersAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		waiting, leave := context.WithCancel(t.Context())
		go emulatortest.Ask(waiting, s, "/computeMetadata/v1/instance/tags?wait_for_change=true&access_token=hidden")
		synctest.Wait()
		got := emulatortest.Ask(t.Context(), s, "/emulator/v1/waiters").Body.String()
		if !strings.Contains(got, "access_token=REDACTED") || strings.Contains(got, "hidden") {
			t.Errorf("waiters are %s", got)
		}
		leave()
		synctest.Wait()
	})
}
