package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"

	"gcp-metadata-emulator/server/wire"
)

// An expectation is undecided if the journal has forgotten too many requests.
func TestExpectationsOfWhatIsForgotten(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	const journalled = 1000
	ask(t.Context(), e.server, accounts+"default/token")
	if err := e.server.Clock.Advance(time.Second); err != nil {
		t.Fatal(err)
	}
	for range journalled {
		ask(t.Context(), e.server, "/computeMetadata/v1/project/project-id")
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
		got := ask(t.Context(), e.server, "/emulator/v1/requests?"+query)
		if (got.Code == http.StatusOK) != (want == "") || want != "" && (got.Code != http.StatusPreconditionFailed || !strings.Contains(got.Body.String(), want)) {
			t.Errorf("%s: status %d: %.500s", query, got.Code, got.Body)
		}
	}
}

// Each operation of the control plane accepts exactly the query parameters in its description. Only
// the operations for probes accept any query.
func TestParametersAreDescribed(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	d := e.description(t)
	for operation := range d.operations() {
		method, path, _ := strings.Cut(operation, " ")
		if strings.HasSuffix(path, "/livez") || strings.HasSuffix(path, "/readyz") {
			continue
		}
		described := d.queryParameters(path, strings.ToLower(method))
		request := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+strings.NewReplacer("{", "", "}", "").Replace(path)+"?nonsense=1", http.NoBody)
		recorder := httptest.NewRecorder()
		e.server.ServeHTTP(recorder, request)
		want := `there is no parameter \"nonsense\"; use one of: ` + strings.Join(described, ", ") + `"`
		if len(described) == 0 {
			want = `there is no parameter \"nonsense\"; this operation has no parameters"`
		}
		if got := recorder.Body.String(); recorder.Code != http.StatusBadRequest || !strings.Contains(got, want) {
			t.Errorf("%s: status %d %s; want %s", operation, recorder.Code, got, want)
		}
	}
}

// Who waits is shown without secrets, as is who has been answered.
func TestWaitersAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := synthetic()
		waiting, leave := context.WithCancel(t.Context())
		go ask(waiting, s, "/computeMetadata/v1/instance/tags?wait_for_change=true&access_token=hidden")
		synctest.Wait()
		got := ask(t.Context(), s, "/emulator/v1/waiters").Body.String()
		if !strings.Contains(got, "access_token=REDACTED") || strings.Contains(got, "hidden") {
			t.Errorf("waiters are %s", got)
		}
		leave()
		synctest.Wait()
	})
}

// Of a request with a large body, the journal keeps what it was about, and not the body.
func TestBodiesAreFreed(t *testing.T) { // alone: it measures what the process keeps
	e := newEmulator(t)
	body := "audience=x&subject_token=" + strings.Repeat("x", 1<<20-100)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 64 {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/v1/token", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		e.server.ServeHTTP(httptest.NewRecorder(), request)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	const much = 16 << 20
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > much || e.last(t).Audience != "x" {
		t.Errorf("%d bytes are kept for requests like %+v", kept, e.last(t))
	}
}

// A request that nobody waits for any more has no answer; one that is parked when the server
// stops gets one.
func TestWhoHasGoneGotNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := synthetic()
		for cause, want := range map[error]int{context.Canceled: 0, wire.ErrStopping: http.StatusOK} {
			waiting, end := context.WithCancelCause(t.Context())
			go ask(waiting, s, "/computeMetadata/v1/instance/tags?wait_for_change=true")
			synctest.Wait()
			end(cause)
			synctest.Wait()
			all := s.Journal.Since(0).Exchanges
			if len(all) == 0 {
				t.Fatal("nothing is written down")
			}
			if seen := all[len(all)-1]; seen.Status != want || (seen.Bytes > 0) != (want > 0) {
				t.Errorf("ended by %v, it is written down as %+v", cause, seen)
			}
		}
	})
}

func TestCallerWhoHasGoneGotNoAnswer(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	client := credentialspb.NewIAMCredentialsClient(e.dialGRPC(t))
	added := e.fail(t, `{"route": "iamcredentials.*", "delay": "1h"}`)
	before := e.server.Journal.Since(0)
	patient, leave := context.WithCancel(callContext(t))
	go func() {
		for e.hits(t, added) == 0 { // it is on its way
			runtime.Gosched()
		}
		leave()
	}()
	if _, err := client.SignBlob(patient, &credentialspb.SignBlobRequest{Name: workerName, Payload: []byte("x")}); err == nil {
		t.Error("a call is answered an hour early")
	}
	<-before.Changed
	if seen := e.last(t); seen.Route != "iamcredentials.signBlob" || seen.Status != 0 {
		t.Errorf("written down as %+v", seen)
	}
}

func TestForeignHostsAreWrittenDown(t *testing.T) {
	t.Parallel()
	e := newEmulator(t)
	got := e.exchange(t, "GET /computeMetadata/v1/project/project-id?key=abc\nHost: attacker.example.com\nUser-Agent: browser\n\n")
	seen := e.last(t)
	if got.status != http.StatusForbidden || seen.Status != got.status || seen.Route != "unknown" || seen.Path != "/computeMetadata/v1/project/project-id?key=REDACTED" ||
		seen.UserAgent != "browser" || seen.Bytes != len(got.body) {
		t.Errorf("%+v is written down as %+v", got, seen)
	}
}
