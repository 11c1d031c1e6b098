package observer_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"cloud.google.com/go/iam/credentials/apiv1/credentialspb"

	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/wire"
)

// The journal keeps the account and the audience of a request with a large body, and not the body.
func TestBodiesAreFreed(t *testing.T) { // not parallel: it measures the memory of the process
	e := emulatortest.New(t)
	body := "audience=x&subject_token=" + strings.Repeat("x", 1<<20-100)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 64 {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/v1/token", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		e.ServeHTTP(httptest.NewRecorder(), request)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	const much = 16 << 20
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > much || e.Last(t).Audience != "x" {
		t.Errorf("the process keeps %d bytes for requests like %+v", kept, e.Last(t))
	}
}

// If a client has left, its request gets no answer. If a request waits when the server stops, it
// gets an answer.
func TestWhoHasGoneGotNoAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := emulatortest.Unserved(t, "")
		for cause, want := range map[error]int{context.Canceled: 0, wire.ErrStopping: http.StatusOK} {
			waiting, end := context.WithCancelCause(t.Context())
			go emulatortest.Ask(waiting, s, "/computeMetadata/v1/instance/tags?wait_for_change=true")
			synctest.Wait()
			end(cause)
			synctest.Wait()
			all := s.Journal.Since(0).Exchanges
			if len(all) == 0 {
				t.Fatal("the journal is empty")
			}
			if seen := all[len(all)-1]; seen.Status != want || (seen.Bytes > 0) != (want > 0) {
				t.Errorf("ended by %v: the journal has %+v", cause, seen)
			}
		}
	})
}

func TestCallerWhoHasGoneGotNoAnswer(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	client := credentialspb.NewIAMCredentialsClient(e.DialGRPC(t))
	added := e.Fail(t, `{"route": "iamcredentials.*", "delay": "1h"}`)
	before := e.Journal.Since(0)
	patient, leave := context.WithCancel(emulatortest.CallContext(t))
	go func() {
		for e.Hits(t, added) == 0 { // the request is on its way
			runtime.Gosched()
		}
		leave()
	}()
	if _, err := client.SignBlob(patient, &credentialspb.SignBlobRequest{Name: "projects/-/serviceAccounts/" + emulatortest.Worker, Payload: []byte("x")}); err == nil {
		t.Error("the call got its answer an hour early")
	}
	<-before.Changed
	if seen := e.Last(t); seen.Route != "iamcredentials.signBlob" || seen.Status != 0 {
		t.Errorf("the journal has %+v", seen)
	}
}

func TestForeignHostsAreWrittenDown(t *testing.T) {
	t.Parallel()
	e := emulatortest.New(t)
	got := e.Exchange(t, "GET /computeMetadata/v1/project/project-id?key=abc\nHost: attacker.example.com\nUser-Agent: browser\n\n")
	seen := e.Last(t)
	if got.Status != http.StatusForbidden || seen.Status != got.Status || seen.Route != "unknown" || seen.Path != "/computeMetadata/v1/project/project-id?key=REDACTED" ||
		seen.UserAgent != "browser" || seen.Bytes != len(got.Body) {
		t.Errorf("the journal has %+v for the answer %+v", seen, got)
	}
}
