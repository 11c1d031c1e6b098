package server_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gcp-metadata-emulator/server"
	"gcp-metadata-emulator/server/emulatortest"
	"gcp-metadata-emulator/server/mds"
	"gcp-metadata-emulator/server/records/recordstest"
	"gcp-metadata-emulator/server/replica"
	"gcp-metadata-emulator/server/world"
)

// oneOf is an emulator of a test that shares its world with others.
type oneOf struct {
	*emulatortest.Emulator

	link *recordstest.Replica
}

// newReplicas starts emulators that share the world of fixture.yaml.
func newReplicas(t *testing.T, count int) []oneOf {
	t.Helper()
	memory := recordstest.New()
	all := make([]oneOf, count)
	for i := range all {
		link := memory.Join()
		all[i] = oneOf{emulatortest.NewOf(t, emulatortest.Fixture(t), func(config *server.Config) {
			shared := replica.New(replica.Config{Store: link, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
			config.World, config.Replica = emulatortest.Must[*world.World](t)(shared.Begin(t.Context(), config.World)), shared
		}), link}
	}
	return all
}

const (
	nameOfAttribute = "/emulator/v1/instances/full-vm/metadata/instance/attributes/told"
	guestAttribute  = "http://full-vm/computeMetadata/v1/instance/guest-attributes/ns/told"
)

// ask sends a request to one of the replicas.
func (o oneOf) ask(ctx context.Context, method, url, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	request.Header.Set("Metadata-Flavor", "Google")
	request.Header.Set("Authorization", "Bearer of-anybody") // policies are not enforced
	recorder := httptest.NewRecorder()
	o.ServeHTTP(recorder, request)
	return recorder
}

// ok is ask, whose answer must be a success.
func (o oneOf) ok(t *testing.T, method, url, body string) string {
	t.Helper()
	got := o.ask(t.Context(), method, url, body)
	text, _ := io.ReadAll(got.Body)
	if got.Code != http.StatusOK {
		t.Fatalf("%s %s: status %d: %s", method, url, got.Code, text)
	}
	return string(text)
}

// local is the address of the control plane in these tests.
const local = "http://localhost"

func TestReplicasShareWhatChanges(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 3)
	a, b, c := all[0], all[1], all[2]
	const wait = "http://full-vm/computeMetadata/v1/instance/attributes/?recursive=true&wait_for_change=true"
	woken := make(chan string, 1)
	go func() { woken <- c.ask(t.Context(), http.MethodGet, wait, "").Body.String() }()
	if err := c.AwaitWaiter(t.Context(), func(mds.Waiter) bool { return true }); err != nil {
		t.Fatal(err)
	}
	a.ok(t, http.MethodPut, local+nameOfAttribute, `{"value": "by a"}`)
	select {
	case got := <-woken:
		if !strings.Contains(got, "by a") {
			t.Errorf("the waiter got %s", got)
		}
	case <-t.Context().Done():
	}
	b.ok(t, http.MethodPut, guestAttribute, "by b")
	if got := a.ok(t, http.MethodGet, guestAttribute, ""); got != "by b" {
		t.Errorf("the guest attribute of another replica is %q", got)
	}
	c.ok(t, http.MethodPost, local+"/emulator/v1/reset", "")
	for _, one := range all {
		if got := one.ask(t.Context(), http.MethodGet, guestAttribute, "").Code; got != http.StatusNotFound {
			t.Errorf("after the reset of a replica, another answers with status %d", got)
		}
	}
}

// A replica that has lost the store answers what changes nothing, and refuses the rest with a reason.
func TestReplicaWithoutItsStore(t *testing.T) {
	t.Parallel()
	all := newReplicas(t, 2)
	a, b := all[0], all[1]
	b.link.Cut()
	a.ok(t, http.MethodPut, local+nameOfAttribute, `{"value": "by a"}`)
	b.ok(t, http.MethodGet, "http://full-vm/computeMetadata/v1/instance/name", "")
	const why = "the store that the replicas share does not answer"
	for _, test := range []struct{ method, url, body, want string }{
		{http.MethodPut, local + nameOfAttribute, `{"value": "by b"}`, why},
		{http.MethodPut, guestAttribute, "by b", "Service Unavailable"},
		{http.MethodPost, "http://iam.googleapis.com/v1/projects/demo-project/roles", `{"roleId": "made"}`, "UNAVAILABLE"},
		{http.MethodPost, local + "/emulator/v1/reset", "", "hint: see that the servers of --store run"},
	} {
		got := b.ask(t.Context(), test.method, test.url, test.body)
		if got.Code != http.StatusServiceUnavailable || !strings.Contains(got.Body.String(), test.want) {
			t.Errorf("%s %s: status %d: %s", test.method, test.url, got.Code, got.Body)
		}
		if strings.Contains(test.url, "/emulator/") {
			continue // the journal does not have requests that drive the emulator
		}
		list := b.Journal.Since(0).Exchanges
		if last := list[len(list)-1]; last.Code != "store-unreachable" || !strings.Contains(last.Reason, why) {
			t.Errorf("%s %s: the journal says %q, %q", test.method, test.url, last.Code, last.Reason)
		}
	}
	b.link.Connect()
	b.ok(t, http.MethodPut, local+nameOfAttribute, `{"value": "by b again"}`)
	if got := a.ok(t, http.MethodGet, "http://full-vm/computeMetadata/v1/instance/attributes/told", ""); got != "by b again" {
		t.Errorf("the other replica has %q", got)
	}
}
